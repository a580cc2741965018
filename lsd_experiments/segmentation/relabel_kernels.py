"""The compiled loop of relabelling. Imported only where it is used: numba takes a second to import."""

import numpy as np

from lsd_experiments.compiled import compiled

REMEMBERED = 2**12  # ids; a power of two. A row of voxels meets few, and 64 KiB stay in the processor's cache


@compiled
def look_up(fragments, ids, segments, result):  # type: ignore[no-untyped-def]
    """Write the segment of each of ``fragments`` [n] to ``result`` [n], which may be the same array; 0 for 0 and unknown ones.

    Voxels of a block have the same few ids: what was found last is remembered, each id in the one place that its last bits say,
    as the ids of a block follow each other. To ask first whether a voxel has the id of the one before takes longer: processors
    guess where the answer changes, and guess wrong.

    :param ids: [k] ascending, at least one
    :param segments: [k] of each of ``ids``
    """
    keys, values = np.zeros(REMEMBERED, np.uint64), np.zeros(REMEMBERED, np.uint64)  # 0 is in place 0, with segment 0
    for i in range(len(fragments)):
        fragment = fragments[i]
        place = fragment & np.uint64(REMEMBERED - 1)
        if keys[place] != fragment:
            keys[place], values[place] = fragment, _search(ids, segments, fragment)
        result[i] = values[place]


@compiled
def _search(ids, segments, fragment):  # type: ignore[no-untyped-def]
    low, high = 0, len(ids)
    while high - low > 1:  # ids[low] <= fragment < ids[high], if it is not below all
        middle = (low + high) // 2
        if ids[middle] <= fragment:
            low = middle
        else:
            high = middle
    return segments[low] if ids[low] == fragment and fragment != 0 else np.uint64(0)
