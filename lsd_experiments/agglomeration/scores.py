"""Merge scores from a merge history."""

import numpy as np
from numpy.typing import NDArray


def merge_scores(num_nodes: int, pairs: NDArray[np.int64], merges: NDArray[np.int64],
                 scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each pair of nodes the score of the merge that first put the two into one region.

    That merge is their lowest common ancestor in the tree of merges. Takes O(log n) for each merge and pair.

    :param num_nodes: nodes are 0 to ``num_nodes - 1``
    :param pairs: [n, 2]
    :param merges: [m, 2] any node of each of the two regions that merge, in order
    :param scores: [m]
    :return: [n], NaN for pairs that stay apart
    """
    from lsd_experiments.agglomeration.kernels import first_common, merge_forest

    parents, times = merge_forest(num_nodes, np.ascontiguousarray(merges))
    found = first_common(np.ascontiguousarray(pairs), parents, times)
    return np.asarray(np.concatenate([scores, [np.nan]])[found])  # -1 where there is none
