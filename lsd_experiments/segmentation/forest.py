"""Sets of nodes that grow with the threshold, and edges in order of the thresholds that admit them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.uint64]
Nodes = NDArray[np.unsignedinteger]
"""Places of fragment ids in their ascending order: uint32 where they fit, else uint64."""


class Forest:
    """Sets of ``count`` nodes: each is its own at first. Memory: 4 bytes per node (8 from 2**32 nodes on)."""

    def __init__(self, count: int) -> None:
        self._parents: Nodes = np.arange(count, dtype=np.uint32 if count < 2**32 else np.uint64)

    def unite(self, edges: Nodes) -> None:
        """Unite the sets of the two ends of each of ``edges`` [m, 2]."""
        from lsd_experiments.segmentation.kernels import unite

        unite(self._parents, edges)

    def roots(self) -> Nodes:
        """[count] the smallest node of each one's set; changed by the next call of :meth:`unite`."""
        from lsd_experiments.segmentation.kernels import flatten

        flatten(self._parents)
        return self._parents

    def sort_edges(self, ids: Ids, u: Ids, v: Ids, scores: NDArray[np.float64], thresholds: Sequence[float],
                   parity: bool = False) -> tuple[Nodes, NDArray[np.int64]]:
        """Those of a batch of edges that a spanning forest needs, in order of their bins, before any is united.

        An edge's bin is the first threshold that is at least its score; edges without one are left out, as are those
        that connect what other edges of the batch connect at no higher threshold.

        :param ids: [count] all fragment ids, ascending
        :param u: [m] fragment at one end of each edge
        :param v: [m] fragment at the other end
        :param scores: [m] merge scores, NaN for edges that never unite
        :param thresholds: ascending
        :param parity: as published: edges without a score unite at every threshold
        :returns: [k, 2] nodes, and [thresholds + 1] where each bin begins, and k
        """
        from lsd_experiments.segmentation import kernels

        count = len(thresholds)
        bins = np.empty(len(u), np.uint32)
        starts = np.zeros(count + 2, np.int64)
        kernels.bin_edges(np.asarray(scores, np.float64), np.array(thresholds, np.float64), 0 if parity else count, bins, starts)
        edges = np.empty((int(starts[count]), 2), self._parents.dtype)
        known = len(edges) == 0 or (len(ids) > 0 and kernels.sort_edges(ids, u, v, bins, starts[:-1].copy(), edges))
        assert known, "an edge of the region graph has an end that is no node"
        starts = starts[:-1]
        kernels.thin(self._parents, edges, starts)
        return edges[:starts[-1]], starts
