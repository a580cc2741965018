"""The compiled loop of the watershed. Imported only where it is used: numba takes a second to import."""

import numpy as np

from lsd_experiments.compiled import compiled


@compiled
def flood(level, seeds, before, fragments):  # type: ignore[no-untyped-def]
    """Seeded watershed: grow labels from their seeds into all voxels of level > 0, highest level first.

    A voxel gets the label of the neighbour (6, or 4 in a single section) that reached it first; among voxels of one level those
    reached first go first, as in mahotas' watershed. A queue for each level makes this linear. All queues are one array: it is
    known how many voxels each will hold. The time goes into waiting for memory, so that 4 bytes say all of a voxel: its level
    until it is reached, then its label, negative. A margin of level 0 saves asking where the array ends.

    :param level: [z, y, x] int32, 0 where nothing may grow; with a margin of one voxel fewer than 2**31 voxels
    :param seeds: [z, y, x] int32, 0 where there is none
    :param before: is added to labels
    :param fragments: [z, y, x] uint64, is written to: labels, 0 where nothing grew
    """
    depth, height, width = level.shape
    row, plane = width + 2, (width + 2) * (height + 2)
    state = np.zeros((depth + 2) * plane, np.int32)
    first = np.zeros(level.max() + 2, np.int32)  # of each level's queue: where the next voxel is
    for z in range(depth):
        for y in range(height):
            begin = (z + 1) * plane + (y + 1) * row + 1
            for x in range(width):
                state[begin + x] = level[z, y, x]
                first[level[z, y, x] + 1] += 1
    first[1] = 0  # voxels of level 0 are never in a queue
    for higher in range(2, len(first)):
        first[higher] += first[higher - 1]
    last = first.copy()  # where the next one will be
    queue = np.empty(first[-1], np.int32)
    for z in range(depth):
        for y in range(height):
            begin = (z + 1) * plane + (y + 1) * row + 1
            for x in range(width):
                if seeds[z, y, x] > 0 and level[z, y, x] > 0:
                    _reach(begin + x, -seeds[z, y, x], level[z, y, x], state, last, queue)
    steps = np.array([-plane, plane, -row, row, -1, 1])[2 if depth == 1 else 0:]
    current = len(first) - 2
    while current > 0:
        if first[current] == last[current]:
            current -= 1
            continue
        voxel = np.int64(queue[first[current]])
        first[current] += 1
        label = state[voxel]
        for step in steps:
            found = state[voxel + step]
            if found > 0:
                _reach(voxel + step, label, found, state, last, queue)
                if found > current:
                    current = found
    for z in range(depth):
        for y in range(height):
            begin = (z + 1) * plane + (y + 1) * row + 1
            for x in range(width):
                label = -state[begin + x]
                fragments[z, y, x] = label + before if label > 0 else 0


@compiled(inline="always")
def _reach(voxel, label, level, state, last, queue):  # type: ignore[no-untyped-def]
    """Label a voxel that no label has reached yet, and put it at the end of its level's queue."""
    state[voxel] = label
    queue[last[level]] = voxel
    last[level] += 1
