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
            while 2 * (used + 3 * (end[2] - begin[2])) >= len(keys):  # no row has more contacts
                keys, sums, counts = enlarge(keys, sums, counts)
            used += _sum_row(affs, fragments, z, y, begin[2], end[2], scale, keys, sums, counts)
    found = np.flatnonzero(counts)
    return keys[found], sums[found], counts[found]


@compiled
def _sum_row(affs, fragments, z, y, begin, end, scale, keys, sums, counts):  # type: ignore[no-untyped-def]
    """Add the faces of a row to the table, which has room for them; how many pairs are new."""
    row, new = fragments[z, y], 0
    before_z, before_y = fragments[max(z - 1, 0), y], fragments[z, max(y - 1, 0)]  # at the array's border itself: no contact
    for x in range(begin, end):
        upper = row[x]
        in_z, in_y, in_x = before_z[x], before_y[x], row[max(x - 1, 0)]
        if in_z == upper and in_y == upper and in_x == upper:
            continue
        new += _add(upper, in_z, affs[0, z, y, x] * scale, keys, sums, counts)
        new += _add(upper, in_y, affs[1, z, y, x] * scale, keys, sums, counts)
        new += _add(upper, in_x, affs[2, z, y, x] * scale, keys, sums, counts)
    return new


@compiled
def _add(upper, lower, affinity, keys, sums, counts):  # type: ignore[no-untyped-def]
    """Add a face to its pair, if it is a contact; whether the pair is new."""
    if upper == lower or upper == 0 or lower == 0:
        return 0
    u, v = min(upper, lower), max(upper, lower)
    slot = find_slot(keys, u, v)
    keys[slot, 0], keys[slot, 1] = u, v  # again if they are there: a branch takes five times as long as the whole rest
    sums[slot] += affinity
    counts[slot] += 1
    return 1 if counts[slot] == 1 else 0
