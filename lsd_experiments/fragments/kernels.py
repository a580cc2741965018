"""The compiled loop of the watershed. Imported only where it is used: numba takes a second to import."""

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def flood(level, labels, in_sections):  # type: ignore[no-untyped-def]
    """Seeded watershed: grow ``labels`` from their seeds into all voxels of level > 0, highest level first, in place.

    A voxel gets the label of the neighbour (6, or 4 if ``in_sections``) that reached it first; among voxels of one
    level those reached first go first, as in skimage's watershed. One queue per level makes this linear.

    :param level: [z, y, x] int32, 0 where nothing may grow
    :param labels: [z, y, x] int64, 0 where there is no seed
    """
    depth, height, width = level.shape
    plane = width * height
    following = np.full(level.size, -1, np.int64)
    highest = level.max()
    first, last = np.full(highest + 1, -1, np.int64), np.full(highest + 1, -1, np.int64)
    flat_level, flat_labels = level.ravel(), labels.ravel()
    for voxel in range(level.size):
        if flat_labels[voxel] and flat_level[voxel]:
            _append(voxel, flat_level[voxel], first, last, following)
    current = highest
    while current > 0:
        voxel = first[current]
        if voxel < 0:
            current -= 1
            continue
        first[current] = following[voxel]
        label = flat_labels[voxel]
        row = voxel // width
        x, y, z = voxel - row * width, row % height, row // height
        if not in_sections:
            if z > 0:
                current = _reach(voxel - plane, label, current, flat_level, flat_labels, first, last, following)
            if z < depth - 1:
                current = _reach(voxel + plane, label, current, flat_level, flat_labels, first, last, following)
        if y > 0:
            current = _reach(voxel - width, label, current, flat_level, flat_labels, first, last, following)
        if y < height - 1:
            current = _reach(voxel + width, label, current, flat_level, flat_labels, first, last, following)
        if x > 0:
            current = _reach(voxel - 1, label, current, flat_level, flat_labels, first, last, following)
        if x < width - 1:
            current = _reach(voxel + 1, label, current, flat_level, flat_labels, first, last, following)


@numba.njit(cache=True, nogil=True, inline="always")
def _reach(voxel, label, current, level, labels, first, last, following):  # type: ignore[no-untyped-def]
    """Label a voxel that no label has reached yet; the level to go on with."""
    if labels[voxel] == 0 and level[voxel] > 0:
        labels[voxel] = label
        _append(voxel, level[voxel], first, last, following)
        return max(current, level[voxel])
    return current


@numba.njit(cache=True, nogil=True, inline="always")
def _append(voxel, level, first, last, following):  # type: ignore[no-untyped-def]
    following[voxel] = -1
    if first[level] < 0:
        first[level] = voxel
    else:
        following[last[level]] = voxel
    last[level] = voxel
