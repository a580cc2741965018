"""The compiled loop over voxels of contacts. Imported only where it is used: numba takes a second to import.

What is known of each pair of fragments is kept in a hash table with open addressing: ``keys`` [slots, 2], 0 if free.
"""

import numpy as np

from lsd_experiments.compiled import compiled


@compiled
def find_slot(keys, u, v):  # type: ignore[no-untyped-def]
    """The slot of the pair, or the free one that it would get."""
    mask = np.uint64(len(keys) - 1)
    mixed = (u * np.uint64(0x9E3779B97F4A7C15)) ^ (v * np.uint64(0xC2B2AE3D27D4EB4F))
    slot = (mixed ^ (mixed >> np.uint64(29))) & mask
    while keys[slot, 0] != 0 and (keys[slot, 0] != u or keys[slot, 1] != v):
        slot = (slot + np.uint64(1)) & mask
    return slot


@compiled
def enlarge(keys, sums, counts):  # type: ignore[no-untyped-def]
    """The same in a table twice as large."""
    more_keys = np.zeros((2 * len(keys), 2), np.uint64)
    more_sums = np.zeros(2 * len(keys))
    more_counts = np.zeros(2 * len(keys), np.int64)
    for old in range(len(keys)):
        if keys[old, 0] != 0:
            slot = find_slot(more_keys, keys[old, 0], keys[old, 1])
            more_keys[slot] = keys[old]
            more_sums[slot] = sums[old]
            more_counts[slot] = counts[old]
    return more_keys, more_sums, more_counts


@compiled
def sum_contacts(affs, fragments, begin, end, scale):  # type: ignore[no-untyped-def]
    """Pairs [n, 2] with the lower fragment first, their sums of affinities times ``scale``, and their numbers of faces.

    Faces count whose upper voxel is from ``begin`` to ``end`` (exclusive); those of the array's first voxels are none.
    """
    keys = np.zeros((1024, 2), np.uint64)
    sums = np.zeros(1024)
    counts = np.zeros(1024, np.int64)
    used = 0
    for z in range(begin[0], end[0]):
        for y in range(begin[1], end[1]):
            for x in range(begin[2], end[2]):
                upper = fragments[z, y, x]
                if upper == 0:
                    continue
                for axis in range(3):
                    if (z, y, x)[axis] == 0:
                        continue
                    lower = fragments[z - (axis == 0), y - (axis == 1), x - (axis == 2)]
                    if lower == 0 or lower == upper:
                        continue
                    u, v = min(lower, upper), max(lower, upper)
                    slot = find_slot(keys, u, v)
                    if keys[slot, 0] == 0:
                        if 2 * used >= len(keys):
                            keys, sums, counts = enlarge(keys, sums, counts)
                            slot = find_slot(keys, u, v)
                        keys[slot, 0] = u
                        keys[slot, 1] = v
                        used += 1
                    sums[slot] += affs[axis, z, y, x] * scale
                    counts[slot] += 1
    found = np.flatnonzero(counts)
    return keys[found], sums[found], counts[found]
