"""How far the voxels of one mask are from another: exact Euclidean distances in nm, from section to section.

A mask is kept as the list of its voxels (:class:`MaskVoxels`), so that memory grows with what is in it, not with the volume; of
the volume, one section is held at a time. Of each section of the target the distances within it are exact, and a voxel's distance
is the smallest over all sections; sections that are farther away than all voxels' nearest one are skipped. No halo, no bound:
every distance is that of ``scipy.ndimage.distance_transform_edt`` on the whole volume.

- Memory: 12 bytes for each voxel of either mask, 30 for each pixel of a section.
- A mask without voxels is infinitely far from everything.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.geometry import Box, Nanometres, Voxels


@dataclass(frozen=True)
class MaskVoxels:
    """The voxels of a mask in a volume of sections of ``plane`` (y, x) pixels.

    ``sections``: of each section along z, [n] their places in it (y * width + x), each once, in any order.
    """

    plane: tuple[int, int]
    sections: tuple[NDArray[np.int32], ...]

    @classmethod
    def of(cls, mask: NDArray[np.bool_]) -> "MaskVoxels":
        """Those of ``mask`` [z, y, x]."""
        return cls((mask.shape[1], mask.shape[2]), tuple(np.flatnonzero(section).astype(np.int32) for section in mask))

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(map(len, self.sections))

    def select(self, chosen: Iterable[NDArray[np.bool_]]) -> "MaskVoxels":
        """Those of each section for which ``chosen`` [n] says so."""
        return MaskVoxels(self.plane, tuple(voxels[kept] for voxels, kept in zip(self.sections, chosen, strict=True)))


class MaskCollector:
    """The voxels of a mask of a volume of ``shape`` (z, y, x), block by block."""

    def __init__(self, shape: Voxels) -> None:
        self._plane = shape[1], shape[2]
        self._voxels: list[list[NDArray[np.int32]]] = [[] for _ in range(shape[0])]

    def add(self, box: Box, mask: NDArray[np.bool_]) -> None:
        """The voxels of ``box`` where ``mask`` [z, y, x] is."""
        for z, section in enumerate(mask, start=box.begin[0]):
            y, x = np.nonzero(section)
            if len(y):
                self._voxels[z].append(((y + box.begin[1]) * self._plane[1] + x + box.begin[2]).astype(np.int32))

    def voxels(self) -> MaskVoxels:
        """All that were added."""
        return MaskVoxels(self._plane, tuple(np.concatenate([*parts, np.zeros(0, np.int32)]) for parts in self._voxels))


def distances(sources: MaskVoxels, targets: MaskVoxels, voxel_size: Nanometres) -> list[NDArray[np.float64]]:
    """Of each section, [n] how far each voxel of ``sources`` is from the nearest voxel of ``targets``, nm; inf if there is none.

    :param voxel_size: (z, y, x) in nm
    """
    from lsd_experiments.evaluation.distance_kernels import section_distances, take_nearer

    assert (sources.plane, len(sources.sections)) == (targets.plane, len(targets.sections)), "volumes of two shapes"
    best = [np.full(len(voxels), np.inf) for voxels in sources.sections]
    worst = [np.inf if len(voxels) else 0.0 for voxels in sources.sections]
    plane, mask = np.empty(sources.plane), np.zeros(sources.plane, np.bool_)
    for z, voxels in enumerate(targets.sections):
        if not len(voxels) or not any(_between(z, other, voxel_size) < far for other, far in enumerate(worst)):
            continue
        mask.reshape(-1)[voxels] = True
        section_distances(mask, float(voxel_size[1]), float(voxel_size[2]), plane)
        mask.reshape(-1)[voxels] = False
        for other, far in enumerate(worst):
            between = _between(z, other, voxel_size)
            if between < far:
                worst[other] = take_nearer(best[other], sources.sections[other], plane.reshape(-1), between)
    return [np.sqrt(squared) for squared in best]


def _between(z: int, other: int, voxel_size: Nanometres) -> float:
    return float(((z - other) * voxel_size[0]) ** 2)


def distance_statistics(found: Sequence[NDArray[np.float64]]) -> dict[str, float | int | None]:
    """``mean``, ``std``, ``max``, ``median`` (nm) and ``count`` of distances; None, but for the count, if one is not finite or
    there is none: no number is made up."""
    values = np.concatenate([*found, np.zeros(0)])
    count, largest = len(values), float(values.max(initial=0))
    if not count or largest == np.inf:
        return {"mean": None, "std": None, "max": None, "count": count, "median": None}
    mean, median = float(values.mean()), float(np.median(values, overwrite_input=True))
    values -= mean  # in place: there may be a hundred million
    return {"mean": mean, "std": float(np.sqrt(values @ values / count)), "max": largest, "count": count, "median": median}


def count_beyond(found: Sequence[NDArray[np.float64]], tolerance: float) -> int:
    """How many distances are larger than ``tolerance`` (nm)."""
    return sum(int(np.count_nonzero(values > tolerance)) for values in found)
