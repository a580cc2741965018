"""The compiled loops of merge scores. Imported only where they are used: numba takes a second to import."""

import numpy as np

from lsd_experiments.compiled import compiled


@compiled
def merge_forest(num_nodes, merges):  # type: ignore[no-untyped-def]
    """Union-find forest of ``merges`` [m, 2]: each node's parent, and the number of the merge that linked the two.

    The smaller region is linked below the larger one and paths are not compressed, so that paths are short and the
    numbers increase along them.
    """
    parents = np.arange(num_nodes)
    sizes = np.ones(num_nodes, np.int64)
    times = np.full(num_nodes, len(merges), np.int64)
    for time in range(len(merges)):
        u, v = merges[time]
        while parents[u] != u:
            u = parents[u]
        while parents[v] != v:
            v = parents[v]
        if u == v:
            continue
        if sizes[u] > sizes[v]:
            u, v = v, u
        parents[u] = v
        times[u] = time
        sizes[v] += sizes[u]
    return parents, times


@compiled
def first_common(pairs, parents, times):  # type: ignore[no-untyped-def]
    """For each of ``pairs`` [n, 2] the number of the merge that joined the two, -1 if none did."""
    found = np.full(len(pairs), -1, np.int64)
    for index in range(len(pairs)):
        u, v = pairs[index]
        time = np.int64(-1)
        while u != v:
            if times[u] > times[v]:  # climb from where the next link is older
                u, v = v, u
            if parents[u] == u:
                time = np.int64(-1)
                break
            time = times[u]
            u = parents[u]
        found[index] = time
    return found
