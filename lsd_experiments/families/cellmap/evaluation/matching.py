"""Which object of a prediction stands for which of the truth.

Both matchings give ``[m] truths, [m] predictions``: indices of ids, each at most once.
"""

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.families.cellmap.evaluation.overlaps import Overlaps

Pairs = tuple[NDArray[np.int64], NDArray[np.int64]]

COSTS = 1_000_000  # of an IoU of 0, in whole numbers, as published
DENSE = 2**25  # pairs of which a table of all is made, as published


def match_overlapping(found: Overlaps, truths: int, predictions: int) -> Pairs:
    """One to one, of least cost: ``int((1 - IoU) 10^6)`` of a pair that overlaps, 10^6 + 1 of a truth that is left alone.

    No IoU is too small. Sparse: each truth has a place of its own to be left alone in, beside the objects that it overlaps.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching

    if not len(found.truths):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    touched = np.unique(found.truths)
    costs = ((1.0 - found.ious.astype(np.float32).astype(np.float64)) * COSTS).astype(np.int64)
    alone = np.arange(len(touched))
    rows = np.concatenate([np.searchsorted(touched, found.truths), alone])
    columns = np.concatenate([found.predictions, predictions + alone])
    # One more for all, since a cost of 0 is none.
    weights = np.concatenate([costs + 1, np.full(len(touched), COSTS + 2)]).astype(np.float64)
    graph = csr_array((weights, (rows, columns)), shape=(len(touched), predictions + len(touched)))
    matched, places = min_weight_full_bipartite_matching(graph)
    kept = places < predictions
    return touched[matched[kept]], places[kept].astype(np.int64)


def match_all(found: Overlaps, truths: int, predictions: int) -> Pairs:
    """As in 2025: the assignment of largest total IoU, in which pairs that do not overlap are matched, too, if any are left.

    Which ones, the order of scipy's assignment says, as published. Of more than ``DENSE`` pairs, only those that overlap are
    matched.
    """
    from scipy.optimize import linear_sum_assignment

    if truths * predictions > DENSE:
        return match_overlapping(found, truths, predictions)
    ious = np.zeros((truths, predictions))
    ious[found.truths, found.predictions] = found.ious
    rows, columns = linear_sum_assignment(ious, maximize=True)
    return rows.astype(np.int64), columns.astype(np.int64)
