"""The compiled loops of finding segments. Imported only where they are used: numba takes a second to import.

Nodes are the places of fragment ids in their ascending order. The bin of an edge is the place of the first threshold
that admits it.
"""

import numpy as np

from lsd_experiments.compiled import compiled

UNKNOWN = -1


@compiled
def place(ids, key, near):  # type: ignore[no-untyped-def]
    """Where ``key`` is in the ascending ``ids``, or -1; the fewer steps, the nearer it is to place ``near``."""
    n, step = len(ids), 1
    if ids[near] <= key:
        low = near
        while low + step < n and ids[low + step] <= key:
            low += step
            step *= 2
        high = min(low + step, n)
    else:
        high = near
        while high - step >= 0 and ids[high - step] > key:
            high -= step
            step *= 2
        low = max(high - step, 0)
    while high - low > 1:  # ids[low] <= key < ids[high], if key is not below all
        middle = (low + high) // 2
        if ids[middle] <= key:
            low = middle
        else:
            high = middle
    return low if ids[low] == key else UNKNOWN


@compiled
def first_threshold(thresholds, score):  # type: ignore[no-untyped-def]
    """The place of the first of the ascending ``thresholds`` that is at least ``score``; their number for none, and NaN."""
    low, high = 0, len(thresholds)
    while low < high:
        middle = (low + high) // 2
        if thresholds[middle] >= score:
            high = middle
        else:
            low = middle + 1
    return low


@compiled
def bin_edges(scores, thresholds, nan_bin, bins, starts):  # type: ignore[no-untyped-def]
    """Fill ``bins`` [m] and count them: ``starts`` [thresholds + 2], bin b at b + 1."""
    for i in range(len(scores)):
        bins[i] = nan_bin if np.isnan(scores[i]) else first_threshold(thresholds, scores[i])
        starts[bins[i] + 1] += 1
    for b in range(1, len(starts)):
        starts[b] += starts[b - 1]


@compiled
def sort_edges(ids, u, v, bins, at, edges):  # type: ignore[no-untyped-def]
    """Write the nodes of the edges that a threshold admits to ``edges`` [k, 2], in order of their bins.

    :param at: [thresholds + 1] where the next edge of each bin goes; changed
    :returns: whether all ends are nodes
    """
    near, none = 0, len(at) - 1
    for i in range(len(u)):
        b = bins[i]
        if b == none:
            continue
        near = place(ids, u[i], near)
        other = place(ids, v[i], near) if near != UNKNOWN else UNKNOWN
        if other == UNKNOWN:
            return False
        edges[at[b], 0], edges[at[b], 1] = near, other
        at[b] += 1
    return True


@compiled
def link(parents, a, b):  # type: ignore[no-untyped-def]
    """Unite the sets of ``a`` and ``b``; whether they were two. The smallest member is the root: no parent is larger."""
    while parents[a] != a:
        parents[a] = parents[parents[a]]
        a = parents[a]
    while parents[b] != b:
        parents[b] = parents[parents[b]]
        b = parents[b]
    if a < b:
        parents[b] = a
    else:
        parents[a] = b
    return a != b


@compiled
def unite(parents, edges):  # type: ignore[no-untyped-def]
    """Unite the sets of the two ends of each of ``edges`` [m, 2], in place."""
    for i in range(len(edges)):
        link(parents, edges[i, 0], edges[i, 1])


@compiled
def thin(parents, edges, starts):  # type: ignore[no-untyped-def]
    """Move the edges of a spanning forest to the front of ``edges`` [k, 2], which are in order of their bins.

    The others connect what edges of their own or of lower bins connect already: no segment depends on them.

    :param parents: each node's own place, before and after
    :param starts: [bins + 1] where each bin begins; changed to those of what is kept
    """
    kept, begin = 0, 0
    for b in range(len(starts) - 1):
        end = starts[b + 1]
        for i in range(begin, end):
            if link(parents, edges[i, 0], edges[i, 1]):
                edges[kept, 0], edges[kept, 1] = edges[i, 0], edges[i, 1]
                kept += 1
        begin = end
        starts[b + 1] = kept
    for i in range(kept):
        parents[edges[i, 0]], parents[edges[i, 1]] = edges[i, 0], edges[i, 1]


@compiled
def flatten(parents):  # type: ignore[no-untyped-def]
    """Make each parent the root, in one pass: parents are not larger than their children."""
    for i in range(len(parents)):
        parents[i] = parents[parents[i]]
