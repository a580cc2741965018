"""All skeletons of one annotation, as arrays; parts of them, and several of them together."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, eq=False)
class Skeletons:
    """Nodes, and the edges between them.

    ``positions``: [n, 3] float64, (z, y, x) in nm. ``edges``: [m, 2] int64, indices of nodes, the smaller first, sorted; each
    edge once, and none from a node to itself. ``ids``: [n] int64, the nodes' ids in their file, unique.
    """

    positions: NDArray[np.float64]
    edges: NDArray[np.int64]
    ids: NDArray[np.int64]

    def __post_init__(self) -> None:
        n = len(self.ids)
        assert self.positions.shape == (n, 3), f"positions of shape {self.positions.shape} for {n} nodes"
        assert self.edges.shape == (len(self.edges), 2), f"edges of shape {self.edges.shape}"
        assert not len(self.edges) or (self.edges.min() >= 0 and self.edges.max() < n), f"edges beyond the {n} nodes"
        assert np.isfinite(self.positions).all(), "a position is not finite"
        assert len(np.unique(self.ids)) == n, "two nodes have one id"

    @classmethod
    def of(cls, positions: ArrayLike, edges: ArrayLike, ids: ArrayLike | None = None) -> "Skeletons":
        """Skeletons of arrays or lists; edges in any direction and order, repeated, or from a node to itself are put right.

        ``ids`` None: nodes are numbered from 0.
        """
        places = np.asarray(positions, np.float64).reshape(-1, 3)
        pairs = np.sort(np.asarray(edges, np.int64).reshape(-1, 2), axis=1)
        pairs = np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)
        numbers = np.arange(len(places)) if ids is None else np.asarray(ids)
        return cls(places, pairs, numbers.astype(np.int64))

    @cached_property
    def components(self) -> NDArray[np.int64]:
        """[n] the number of each node's skeleton (what edges connect): 0, 1, ... in the order of their first nodes."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        n = len(self.ids)
        graph = coo_array((np.ones(len(self.edges), np.uint8), (self.edges[:, 0], self.edges[:, 1])), shape=(n, n))
        _, numbers = connected_components(graph, directed=False)
        _, first, inverse = np.unique(numbers, return_index=True, return_inverse=True)
        rank = np.empty(len(first), np.int64)
        rank[np.argsort(first)] = np.arange(len(first))
        in_order: NDArray[np.int64] = rank[inverse.reshape(-1)]
        return in_order

    @cached_property
    def lengths(self) -> NDArray[np.float64]:
        """[m] nm, of the edges."""
        ends = self.positions[self.edges]
        lengths: NDArray[np.float64] = np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1)
        return lengths

    def keep(self, nodes: NDArray[np.bool_]) -> "Skeletons":
        """The nodes where ``nodes`` [n] is true, and the edges between them."""
        number = np.cumsum(nodes) - 1
        edges = self.edges[nodes[self.edges].all(axis=1)]
        return Skeletons(self.positions[nodes], number[edges], self.ids[nodes])


def crop(skeletons: Skeletons, offset: Sequence[float], shape: Sequence[float]) -> Skeletons:
    """The nodes in the half open box from ``offset`` to ``offset + shape``, (z, y, x) in nm, and the edges between them.

    What the box cuts in two is two skeletons then.
    """
    begin = np.asarray(offset, np.float64)
    inside = (skeletons.positions >= begin) & (skeletons.positions < begin + np.asarray(shape, np.float64))
    return skeletons.keep(np.all(inside, axis=1))


def join(parts: Sequence[Skeletons]) -> Skeletons:
    """All of ``parts``, which share no edge. If their ids repeat, all nodes are numbered from 0."""
    def stack(arrays: list[NDArray[Any]], empty: NDArray[Any]) -> NDArray[Any]:
        return np.concatenate([empty, *arrays])

    begins = np.cumsum([0, *(len(part.ids) for part in parts)])
    positions = stack([part.positions for part in parts], np.zeros((0, 3)))
    edges = stack([part.edges + begin for part, begin in zip(parts, begins, strict=False)], np.zeros((0, 2), np.int64))
    ids = stack([part.ids for part in parts], np.zeros(0, np.int64))
    return Skeletons(positions, edges, ids if len(np.unique(ids)) == len(ids) else np.arange(len(ids)))
