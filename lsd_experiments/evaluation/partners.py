"""Pairs of places, like the two sides of synapses, matched to true ones: CREMI's score of synaptic partners.

A found pair may be a true one if both of its places are within ``tolerance`` of the true ones, and lie in the same true segments
as those. Of all ways to match them one to one, the one with the smallest sum of costs is taken (Hungarian method): the mean of
the two distances, or twice the tolerance for what may not be matched.

Without pairs on one side, or without a match, precision, recall and F score are 0; without pairs on both, they are 1.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

TOLERANCE = 400.0  # nm, CREMI's
Places = NDArray[np.float64]  # [n, 2, 3] nm: of each pair before and after the cleft, (z, y, x)
Segments = NDArray[np.integer]  # [n, 2] the true segments at these places


def score_partners(
    found: Places, truth: Places, found_segments: Segments, true_segments: Segments, tolerance: float = TOLERANCE
) -> dict[str, Any]:
    """``fscore``, ``precision``, ``recall``, ``false_positives``, ``false_negatives`` and ``matches``.

    :returns: ``matches``: [found, true, cost in nm] of each, by ``found``
    """
    from scipy.optimize import linear_sum_assignment

    costs = matching_costs(found, truth, found_segments, true_segments, tolerance)
    side = max(costs.shape)
    padded = np.full((side, side), 2 * tolerance)
    padded[: len(found), : len(truth)] = costs
    pairs = [(int(i), int(j), float(padded[i, j])) for i, j in zip(*linear_sum_assignment(padded), strict=True)]
    matches = [pair for pair in pairs if pair[2] <= tolerance]
    extra, missed = len(found) - len(matches), len(truth) - len(matches)
    if not len(found) and not len(truth):
        precision = recall = 1.0
    else:
        precision, recall = (len(matches) / max(1, len(side)) for side in (found, truth))
    total = precision + recall
    return {"fscore": 2 * precision * recall / total if total else 0.0, "precision": precision, "recall": recall,
            "false_positives": extra, "false_negatives": missed, "matches": matches}


def matching_costs(found: Places, truth: Places, found_segments: Segments, true_segments: Segments,
                   tolerance: float) -> NDArray[np.float64]:
    """[n, m] what each match costs, nm: see the module."""
    apart = np.sqrt(((found[:, None] - truth[None]) ** 2).sum(-1))  # [n, m, 2]
    same = (found_segments[:, None] == true_segments[None]).all(-1)
    costs: NDArray[np.float64] = np.where(same & (apart <= tolerance).all(-1), apart.mean(-1), 2 * tolerance)
    return costs
