"""Reading a patch of an image through a matrix.

Voxel i of a patch of n, s nm long, is at centre + M ((i + 1/2 - n/2) s). Where the axes of the matrix only change places and
directions, and voxels lie on the image's, values are those that are stored; else raw is interpolated linearly, and labels are
those of the nearest voxel. Raw is 0 beyond its volume; labels are NaN beyond theirs: nobody annotated there.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.compiled import compiled
from lsd_experiments.families.cellmap.data.images import Image
from lsd_experiments.families.cellmap.data.turning import Matrix, is_exact
from lsd_experiments.geometry import Box, Nanometres

ON_GRID = 1e-3  # of a voxel


def read_patch(image: Image, centre: Sequence[float], shape: Sequence[int], matrix: Matrix,
               target: NDArray[np.float32] | None = None) -> NDArray[Any]:
    """[z, y, x]: raw of the stored type, labels as float32 with NaN.

    :param centre: in nm
    :param target: where labels are put
    """
    steps, start = _affine(image, centre, shape, matrix)
    if is_exact(steps) and np.abs(start - np.round(start)).max() <= ON_GRID:
        return _copied(image, np.round(start).astype(int), steps.astype(int), shape, target)
    corners = np.array([[0, n - 1] for n in shape])
    ends = np.sort(steps[:, :, None] * corners, axis=2).sum(axis=1) + start[:, None]
    box = Box(tuple(np.floor(ends[:, 0] - 1).astype(int).tolist()), tuple(np.ceil(ends[:, 1] + 2).astype(int).tolist()))
    if image.kind == "labels":
        target = np.empty(tuple(shape), np.float32) if target is None else target
        box = box.intersect(image.box)
        if box.empty:
            target.fill(np.nan)
            return target
        _nearest(image.read(box), steps, start - box.begin, target)
        return target
    interpolated = np.empty(tuple(shape), np.float32)
    _linear(image.read(box), steps, start - box.begin, interpolated)
    return interpolated if image.dtype.kind == "f" else np.rint(interpolated, out=interpolated).astype(image.dtype)


def on_grid(image: Image, centre: Sequence[float], shape: Sequence[int], matrix: Matrix) -> Nanometres:
    """The centre next to ``centre`` from which a patch is read as it is stored, if its matrix allows that."""
    steps, start = _affine(image, centre, shape, matrix)
    if not is_exact(steps):
        return tuple(float(c) for c in centre)
    return tuple(float(c + (np.floor(at + 0.5) - at) * scale) for c, at, scale in zip(centre, start, image.scale, strict=True))


def _affine(image: Image, centre: Sequence[float], shape: Sequence[int], matrix: Matrix) -> tuple[Matrix, NDArray[np.float64]]:
    """Of the patch's voxel (0, 0, 0) the place in the image, in voxels' centres; and what each step adds to it."""
    scale = np.asarray(image.scale)
    steps = np.round(matrix * scale / scale[:, None], 9)
    first = (np.asarray(centre) - image.offset) / scale - 0.5 + steps @ (0.5 - np.asarray(shape) / 2)
    return steps, first


def _copied(image: Image, start: NDArray[np.int_], steps: NDArray[np.int_], shape: Sequence[int],
            target: NDArray[np.float32] | None) -> NDArray[Any]:
    last = start + steps @ (np.asarray(shape) - 1)
    box = Box(tuple(np.minimum(start, last).tolist()), tuple((np.maximum(start, last) + 1).tolist()))
    order = [int(np.flatnonzero(steps[:, axis])[0]) for axis in range(3)]  # of each axis of the patch, the image's
    turns = tuple(slice(None, None, int(steps[of, axis])) for axis, of in enumerate(order))
    if image.kind != "labels":
        return np.ascontiguousarray(image.read(box).transpose(order)[turns])
    target = np.empty(tuple(shape), np.float32) if target is None else target
    inside = box.intersect(image.box)
    if inside != box:
        target.fill(np.nan)
    if not inside.empty:
        seen = target[turns].transpose(np.argsort(order))  # the patch, with axes as the image has them
        seen[inside.shift([-b for b in box.begin]).slices] = image.read(inside)
    return target


@compiled
def _linear(source: Any, steps: Any, start: Any, target: Any) -> None:
    """``source`` reaches beyond all places by a voxel."""
    depth, height, width = target.shape
    for z in range(depth):
        for y in range(height):
            bz = start[0] + steps[0, 0] * z + steps[0, 1] * y
            by = start[1] + steps[1, 0] * z + steps[1, 1] * y
            bx = start[2] + steps[2, 0] * z + steps[2, 1] * y
            for x in range(width):
                fz, fy, fx = bz + steps[0, 2] * x, by + steps[1, 2] * x, bx + steps[2, 2] * x
                k, j, i = int(fz), int(fy), int(fx)
                wz, wy, wx = np.float32(fz - k), np.float32(fy - j), np.float32(fx - i)
                ux = np.float32(1) - wx
                a = source[k, j, i] * ux + source[k, j, i + 1] * wx
                b = source[k, j + 1, i] * ux + source[k, j + 1, i + 1] * wx
                c = source[k + 1, j, i] * ux + source[k + 1, j, i + 1] * wx
                d = source[k + 1, j + 1, i] * ux + source[k + 1, j + 1, i + 1] * wx
                a += (b - a) * wy
                c += (d - c) * wy
                target[z, y, x] = a + (c - a) * wz


@compiled
def _nearest(source: Any, steps: Any, start: Any, target: Any) -> None:
    depth, height, width = target.shape
    kn, jn, nn = source.shape
    for z in range(depth):
        for y in range(height):
            bz = start[0] + 0.5 + steps[0, 0] * z + steps[0, 1] * y
            by = start[1] + 0.5 + steps[1, 0] * z + steps[1, 1] * y
            bx = start[2] + 0.5 + steps[2, 0] * z + steps[2, 1] * y
            for x in range(width):
                fz, fy, fx = bz + steps[0, 2] * x, by + steps[1, 2] * x, bx + steps[2, 2] * x
                if 0 <= fz < kn and 0 <= fy < jn and 0 <= fx < nn:
                    target[z, y, x] = source[int(fz), int(fy), int(fx)]
                else:
                    target[z, y, x] = np.nan
