"""MALIS by its definition, in plain Python: for each pair of voxels the edge that joins it first.

Independent of the implementation: no spanning tree and no counts of labels, but one flood fill per pair and affinity.
"""

from itertools import combinations

import numpy as np
import pytest


def edges_of(shape, neighborhood):
    """Each edge as ((c, z, y, x), one end, other end)."""
    for c, offset in enumerate(neighborhood):
        for voxel in np.ndindex(*shape):
            other = tuple(v + o for v, o in zip(voxel, offset, strict=True))
            if all(0 <= v < s for v, s in zip(other, shape, strict=True)):
                yield (c, *voxel), voxel, other


def reached(start, edges):
    """All voxels that ``edges`` connect with ``start``."""
    found, front = {start}, [start]
    while front:
        voxel = front.pop()
        for _, a, b in edges:
            for here, there in ((a, b), (b, a)):
                if here == voxel and there not in found:
                    found.add(there)
                    front.append(there)
    return found


def joining_edge(a, b, ordered):
    """The edge that connects voxels a and b first, of edges from the best to the worst; None if none does."""
    low, high = 0, len(ordered)
    if b not in reached(a, ordered):
        return None
    while low < high:  # the fewest edges that connect them; the last of those is the one
        middle = (low + high) // 2
        low, high = (low, middle) if b in reached(a, ordered[:middle]) else (middle + 1, high)
    return ordered[low - 1][0]


def oracle(affs, labels, neighborhood, mask=None):
    """The weights of both passes, as ``malis_weights`` gives them. The affinities, and 0 and 1, must all differ."""
    mask = np.ones(affs.shape, bool) if mask is None else mask
    weights = {}
    for positive in (True, False):
        pairs = np.zeros(affs.shape)
        constrained = {}
        all_edges = list(edges_of(labels.shape, neighborhood))
        inside = {index: labels[a] == labels[b] != 0 for index, a, b in all_edges}
        for index, _, _ in all_edges:
            set_to = 1.0 - positive
            constrained[index] = set_to if mask[index] and inside[index] != positive else affs[index]
        ordered = sorted(all_edges, key=lambda edge: (-constrained[edge[0]], edge[0]))
        foreground = [tuple(voxel) for voxel in np.argwhere(labels)]
        for a, b in combinations(foreground, 2):
            if (labels[a] == labels[b]) == positive:
                index = joining_edge(a, b, ordered)
                if index is not None and mask[index] and inside[index] == positive:
                    pairs[index] += 1
        weights[positive] = pairs / (pairs.sum() or 1)
    return weights[True], weights[False]


@pytest.fixture(name="oracle")
def _oracle():
    return oracle
