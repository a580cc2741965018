"""The compiled loop of counting. Imported only where it is used: numba takes a second to import."""

import numpy as np

from lsd_experiments.compiled import compiled


@compiled
def slot(segment, label, segments, labels, counts):  # type: ignore[no-untyped-def]
    """Where the table holds the pair, or the free place where it belongs (count 0). Linear probing, 2^k places."""
    mask = np.uint64(len(counts) - 1)
    mixed = (segment * np.uint64(0x9E3779B97F4A7C15)) ^ (label * np.uint64(0xC2B2AE3D27D4EB4F))  # any large odd numbers
    mixed ^= mixed >> np.uint64(29)
    at = (mixed * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(20)) & mask
    while counts[at] and not (segments[at] == segment and labels[at] == label):
        at = (at + np.uint64(1)) & mask
    return at


@compiled
def count_pairs(segmentation, truth, start, segments, labels, counts, used):  # type: ignore[no-untyped-def]
    """Count the pairs (segment, label) of two flat uint64 arrays from ``start``, label 0 left out, run by run.

    :param used: places of the table that are taken
    :returns: where it stopped, which is the arrays' end unless the table is 5/8 full; and ``used``
    """
    n, limit = len(truth), len(counts) * 5 // 8
    i = start
    while i < n:
        segment, label, begin = segmentation[i], truth[i], i
        i += 1
        while i < n and truth[i] == label and segmentation[i] == segment:
            i += 1
        if label == 0:
            continue
        at = slot(segment, label, segments, labels, counts)
        if counts[at] == 0:
            if used >= limit:
                return begin, used
            segments[at], labels[at] = segment, label
            used += 1
        counts[at] += i - begin
    return n, used


@compiled
def move_pairs(segments, labels, counts, new_segments, new_labels, new_counts):  # type: ignore[no-untyped-def]
    """Add a table's pairs to an empty, larger one."""
    for i in range(len(counts)):
        if counts[i]:
            at = slot(segments[i], labels[i], new_segments, new_labels, new_counts)
            new_segments[at], new_labels[at], new_counts[at] = segments[i], labels[i], counts[i]
