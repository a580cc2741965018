"""Scores of a mask against the true one by how far their voxels are apart: what CREMI scores clefts by.

| score | definition |
|---|---|
| ``false_positives`` | voxels of the mask that are more than ``tolerance`` nm from the truth |
| ``false_negatives`` | voxels of the truth that are more than ``tolerance`` nm from the mask |
| ``precision``, ``recall`` | the share of the voxels of the mask, of the truth, that are not those |
| ``f1`` | 2 precision recall / (precision + recall) |
| ``adgt`` | mean distance to the ground truth of the mask's voxels, nm, without any tolerance |
| ``adf`` | mean distance to what was found of the truth's voxels |
| ``mean_distance`` | (adgt + adf) / 2, which is commonly called the CREMI score |
| ``to_truth``, ``to_mask`` | ``mean``, ``std``, ``max``, ``count``, ``median`` of these distances |

**Empty sides.** Where one of the two is empty, there is no distance: all distances are None, every voxel of the other one is an
error, at any tolerance, and F1 is 0. Where both are, nothing is wrong: distances are 0 and F1 is 1.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lsd_experiments.evaluation.mask_distances import MaskVoxels, count_beyond, distance_statistics, distances
from lsd_experiments.geometry import Nanometres

if TYPE_CHECKING:
    from lsd_experiments.evaluation.mask_curves import Levels

TOLERANCE = 200.0  # nm, CREMI's
EMPTY: dict[str, float | int | None] = {"mean": 0.0, "std": 0.0, "max": 0.0, "count": 0, "median": 0.0}
Row = dict[str, Any]
Found = tuple[dict[str, float | int | None], int]


def score_masks(mask: MaskVoxels, truth: MaskVoxels, voxel_size: Nanometres, tolerance: float = TOLERANCE) -> Row:
    """The scores of ``mask`` against ``truth``; see the module.

    :param voxel_size: (z, y, x) in nm
    :param tolerance: nm
    """
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(2) as threads:  # the loops let other threads run
        both = threads.map(lambda pair: distances(pair[0], pair[1], voxel_size), [(mask, truth), (truth, mask)])
        to_truth, to_mask = ((distance_statistics(found), count_beyond(found, tolerance)) for found in both)
    return _row(to_truth, to_mask)


def score_thresholds(levels: "Levels", thresholds: Sequence[float], truth: MaskVoxels, voxel_size: Nanometres,
                     tolerance: float = TOLERANCE) -> list[Row]:
    """The scores of the masks of ``thresholds``, a row for each, in one pass over the volume.

    :param levels: of the volume, at these thresholds, ascending
    """
    from concurrent.futures import ThreadPoolExecutor

    from lsd_experiments.evaluation.mask_curves import distances_to_levels, statistics_of_levels

    with ThreadPoolExecutor(1) as thread:  # the loops let other threads run
        of_masks = thread.submit(statistics_of_levels, levels, truth, voxel_size, tolerance)
        of_truth = [(distance_statistics(found), count_beyond(found, tolerance))
                    for found in distances_to_levels(truth, levels, voxel_size)]
        pairs = zip(thresholds, of_masks.result(), reversed(of_truth), strict=True)
        return [{"threshold": float(threshold), **_row(own, other)} for threshold, own, other in pairs]


def best_row(rows: Sequence[Row]) -> int:
    """The index of the row with the largest F1, and of those with the smallest mean distance; the first of equal ones."""
    def rank(i: int) -> tuple[float, float]:
        distance = rows[i]["mean_distance"]
        return -rows[i]["f1"], np.inf if distance is None else distance
    return min(range(len(rows)), key=rank)


def _row(of_mask: Found, of_truth: Found) -> Row:
    """The scores, from the statistics of the distances of both sides, and how many are beyond the tolerance."""
    (to_truth, extra), (to_mask, missed) = of_mask, of_truth
    if not to_truth["count"] and not to_mask["count"]:
        to_truth = to_mask = EMPTY
    precision, recall = _share(to_truth["count"], extra), _share(to_mask["count"], missed)
    adgt, adf = to_truth["mean"], to_mask["mean"]
    return {
        "f1": _f1(precision, recall), "precision": precision, "recall": recall, "false_positives": extra,
        "false_negatives": missed, "adgt": adgt, "adf": adf,
        "mean_distance": None if adgt is None or adf is None else (adgt + adf) / 2,
        "to_truth": dict(to_truth), "to_mask": dict(to_mask),
    }


def _share(count: Any, wrong: int) -> float | None:
    return (count - wrong) / count if count else None


def _f1(precision: float | None, recall: float | None) -> float:
    if precision is None or recall is None:
        return 1.0 if precision is recall else 0.0
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
