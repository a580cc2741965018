"""Where each voxel of a sample comes from, and reading it from there.

Everything that moves voxels is one transformation, so that images are interpolated once: the section by a list, the place in the
section by a grid that all sections share (flips, rotation, rescaling, elastic deformation), and then by a matrix of each section
(misalignment). What lies outside of the source is what is at its border.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.compiled import compiled

Floats = NDArray[np.float32]
STILL = np.array([[1, 0, 0], [0, 1, 0]], np.float32)


@dataclass(frozen=True)
class Geometry:
    """A transformation.

    :param sections: [z] the source's section of each
    :param grid: [2, y, x] the place (y, x) in the source, relative to ``centre``
    :param matrices: [z, 2, 3] which takes (y, x, 1) there to the place that is read
    :param centre: (y, x) in the source
    :param swaps_z: whether z and x change places at last; see :meth:`swapped`
    """

    sections: NDArray[np.int64]
    grid: Floats
    matrices: Floats
    centre: tuple[float, float]
    swaps_z: bool = False

    def image(self, source: NDArray[Any], values: Floats | None = None) -> Floats:
        """``source`` [z, y, x], interpolated linearly within sections.

        :param values: [256], what values of a uint8 source stand for
        """
        target = np.empty((len(self.sections), *self.grid.shape[1:]), np.float32)
        solid = np.ascontiguousarray(source)
        for matrix, chosen in self._alike():
            if values is None:
                _linear(solid, self.sections, self.grid, matrix, *self.centre, chosen, target)
            else:
                _linear_of_table(solid, values, self.sections, self.grid, matrix, *self.centre, chosen, target)
        return target

    def labels(self, source: NDArray[Any]) -> NDArray[Any]:
        """``source`` [z, y, x], the nearest voxels."""
        target = np.empty((len(self.sections), *self.grid.shape[1:]), source.dtype)
        solid = np.ascontiguousarray(source)
        for matrix, chosen in self._alike():
            _nearest(solid, self.sections, self.grid, matrix, *self.centre, chosen, target)
        return target

    def _alike(self) -> Iterator[tuple[Floats, NDArray[np.int64]]]:
        """Each matrix, and the sections that have it: the place of a voxel is computed once for all of them."""
        matrices, which = np.unique(self.matrices, axis=0, return_inverse=True)
        for index, matrix in enumerate(matrices):
            yield matrix, np.flatnonzero(which.ravel() == index)

    def swapped(self, array: NDArray[Any]) -> NDArray[Any]:
        """``array`` [z, y, x] as it is at last."""
        return np.ascontiguousarray(array.transpose(2, 1, 0)) if self.swaps_z else array


@compiled(inline="always")
def _place(grid: Any, m: Any, y: Any, x: Any, cy: Any, cx: Any, height: Any, width: Any) -> Any:
    gy, gx = grid[0, y, x], grid[1, y, x]
    fy = m[0, 0] * gy + m[0, 1] * gx + m[0, 2] + np.float32(cy)
    fx = m[1, 0] * gy + m[1, 1] * gx + m[1, 2] + np.float32(cx)
    return min(max(fy, np.float32(0)), np.float32(height - 1)), min(max(fx, np.float32(0)), np.float32(width - 1))


@compiled
def _nearest(source: Any, sections: Any, grid: Any, m: Any, cy: float, cx: float, chosen: Any, target: Any) -> None:
    _, height, width = source.shape
    half = np.float32(0.5)
    for y in range(target.shape[1]):
        for x in range(target.shape[2]):
            fy, fx = _place(grid, m, y, x, cy, cx, height, width)
            j, i = int(fy + half), int(fx + half)
            for z in chosen:
                target[z, y, x] = source[sections[z], j, i]


@compiled
def _linear(source: Any, sections: Any, grid: Any, m: Any, cy: float, cx: float, chosen: Any, target: Any) -> None:
    _, height, width = source.shape
    for y in range(target.shape[1]):
        for x in range(target.shape[2]):
            fy, fx = _place(grid, m, y, x, cy, cx, height, width)
            j, i = int(fy), int(fx)
            j1, i1 = min(j + 1, height - 1), min(i + 1, width - 1)
            wy, wx = np.float32(fy - j), np.float32(fx - i)
            for z in chosen:
                k = sections[z]
                above = source[k, j, i] + (source[k, j, i1] - source[k, j, i]) * wx
                below = source[k, j1, i] + (source[k, j1, i1] - source[k, j1, i]) * wx
                target[z, y, x] = above + (below - above) * wy


@compiled
def _linear_of_table(source: Any, table: Any, sections: Any, grid: Any, m: Any, cy: float, cx: float, chosen: Any,
                     target: Any) -> None:
    _, height, width = source.shape
    for y in range(target.shape[1]):
        for x in range(target.shape[2]):
            fy, fx = _place(grid, m, y, x, cy, cx, height, width)
            j, i = int(fy), int(fx)
            j1, i1 = min(j + 1, height - 1), min(i + 1, width - 1)
            wy, wx = np.float32(fy - j), np.float32(fx - i)
            for z in chosen:
                k = sections[z]
                a, b, c, d = table[source[k, j, i]], table[source[k, j, i1]], table[source[k, j1, i]], table[source[k, j1, i1]]
                above = a + (b - a) * wx
                target[z, y, x] = above + (c + (d - c) * wx - above) * wy
