"""The compiled loops of finding segments. Imported only where they are used: numba takes a second to import."""

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def unite(parents, u, v):  # type: ignore[no-untyped-def]
    """Unite the sets of ``u[i]`` and ``v[i]``, in place; the smallest member is the root: no parent is larger."""
    for index in range(len(u)):
        a, b = u[index], v[index]
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


@numba.njit(cache=True, nogil=True)
def roots(parents):  # type: ignore[no-untyped-def]
    """The root of each member, in one pass: parents are not larger than their children."""
    found = np.empty_like(parents)
    for index in range(len(parents)):
        parent = parents[index]
        found[index] = index if parent == index else found[parent]
    return found
