"""The compiled loop of the watershed. Imported only where it is used: numba takes a second to import.

The time goes into waiting for memory, so a voxel's label and level are next to each other: ``level << 32 | label``.
"""

import numpy as np

from lsd_experiments.compiled import compiled


@compiled
def flood(state, shape, highest, in_sections):  # type: ignore[no-untyped-def]
    """Seeded watershed: grow labels from their seeds into all voxels of level > 0, highest level first, in place.

    A voxel gets the label of the neighbour (6, or 4 if ``in_sections``) that reached it first; among voxels of one level those
    reached first go first, as in mahotas' watershed. One queue per level makes this linear.

    :param state: [voxels] int64, ``level << 32 | label``; level 0 where nothing may grow, label 0 where there is no seed
    :param shape: (z, y, x), fewer than 2**31 voxels
    :param highest: the highest level
    """
    depth, height, width = shape
    plane = width * height
    following = np.full(depth * plane, -1, np.int32)
    first, last = np.full(highest + 1, -1, np.int32), np.full(highest + 1, -1, np.int32)
    for seed in range(depth * plane):
        if state[seed] & 0xFFFFFFFF and state[seed] >> 32:
            _append(seed, state[seed] >> 32, first, last, following)
    current = highest
    while current > 0:
        voxel = np.int64(first[current])
        if voxel < 0:
            current -= 1
            continue
        first[current] = following[voxel]
        label = state[voxel] & 0xFFFFFFFF
        row = voxel // width
        x, y, z = voxel - row * width, row % height, row // height
        if not in_sections:
            if z > 0:
                current = _reach(voxel - plane, label, current, state, first, last, following)
            if z < depth - 1:
                current = _reach(voxel + plane, label, current, state, first, last, following)
        if y > 0:
            current = _reach(voxel - width, label, current, state, first, last, following)
        if y < height - 1:
            current = _reach(voxel + width, label, current, state, first, last, following)
        if x > 0:
            current = _reach(voxel - 1, label, current, state, first, last, following)
        if x < width - 1:
            current = _reach(voxel + 1, label, current, state, first, last, following)


@compiled(inline="always")
def _reach(voxel, label, current, state, first, last, following):  # type: ignore[no-untyped-def]
    """Label a voxel that no label has reached yet; the level to go on with."""
    found = state[voxel]
    if found & 0xFFFFFFFF == 0 and found > 0:
        state[voxel] = found | label
        _append(voxel, found >> 32, first, last, following)
        return max(current, found >> 32)
    return current


@compiled(inline="always")
def _append(voxel, level, first, last, following):  # type: ignore[no-untyped-def]
    following[voxel] = -1
    if first[level] < 0:
        first[level] = voxel
    else:
        following[last[level]] = voxel
    last[level] = voxel
