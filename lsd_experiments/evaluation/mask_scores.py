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

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.evaluation.mask_distances import MaskVoxels, count_beyond, distance_statistics, distances
from lsd_experiments.geometry import Nanometres

TOLERANCE = 200.0  # nm, CREMI's
EMPTY: dict[str, float | int | None] = {"mean": 0.0, "std": 0.0, "max": 0.0, "count": 0, "median": 0.0}
Row = dict[str, Any]
Make = Callable[[], MaskVoxels]
Distances = Sequence[NDArray[np.float64]]


def score_masks(mask: MaskVoxels, truth: MaskVoxels, voxel_size: Nanometres, tolerance: float = TOLERANCE) -> Row:
    """The scores of ``mask`` against ``truth``; see the module.

    :param voxel_size: (z, y, x) in nm
    :param tolerance: nm
    """
    found = _in_parallel([(lambda: mask, lambda: truth), (lambda: truth, lambda: mask)], voxel_size)
    return _scores(found[0], found[1], tolerance)


def score_thresholds(
    found: MaskVoxels, values: Sequence[NDArray[Any]], truth: MaskVoxels, voxel_size: Nanometres, thresholds: Sequence[float],
    tolerance: float = TOLERANCE,
) -> list[Row]:
    """The scores of the masks ``values > threshold``, a row for each of ``thresholds``, in one pass over the volume.

    :param found: the voxels above the lowest threshold
    :param values: of each section, [n] the values of these voxels
    """
    def mask(threshold: float) -> MaskVoxels:
        return found.select(value > threshold for value in values)

    pairs: list[tuple[Make, Make]] = [(lambda: found, lambda: truth)]
    pairs += [(lambda: truth, partial(mask, threshold)) for threshold in thresholds]
    to_truth, *to_masks = _in_parallel(pairs, voxel_size)
    rows = []
    for threshold, to_mask in zip(thresholds, to_masks, strict=True):
        own = [far[value > threshold] for far, value in zip(to_truth, values, strict=True)]
        rows.append({"threshold": float(threshold), **_scores(own, to_mask, tolerance)})
    return rows


def best_row(rows: Sequence[Row]) -> int:
    """The index of the row with the largest F1, and of those with the smallest mean distance; the first of equal ones."""
    def rank(i: int) -> tuple[float, float]:
        distance = rows[i]["mean_distance"]
        return -rows[i]["f1"], np.inf if distance is None else distance
    return min(range(len(rows)), key=rank)


def _in_parallel(pairs: Sequence[tuple[Make, Make]], voxel_size: Nanometres) -> list[list[NDArray[np.float64]]]:
    """The distances of each pair, whose masks are made when it is their turn."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(2) as threads:  # the loops let other threads run
        return list(threads.map(lambda pair: distances(pair[0](), pair[1](), voxel_size), pairs))


def _scores(to_truth: Distances, to_mask: Distances, tolerance: float) -> Row:
    of_mask, of_truth = distance_statistics(to_truth), distance_statistics(to_mask)
    if not of_mask["count"] and not of_truth["count"]:
        of_mask = of_truth = EMPTY
    extra, missed = count_beyond(to_truth, tolerance), count_beyond(to_mask, tolerance)
    precision, recall = _share(of_mask["count"], extra), _share(of_truth["count"], missed)
    adgt, adf = of_mask["mean"], of_truth["mean"]
    return {
        "f1": _f1(precision, recall), "precision": precision, "recall": recall, "false_positives": extra,
        "false_negatives": missed, "adgt": adgt, "adf": adf,
        "mean_distance": None if adgt is None or adf is None else (adgt + adf) / 2,
        "to_truth": dict(of_mask), "to_mask": dict(of_truth),
    }


def _share(count: Any, wrong: int) -> float | None:
    return (count - wrong) / count if count else None


def _f1(precision: float | None, recall: float | None) -> float:
    if precision is None or recall is None:
        return 1.0 if precision is recall else 0.0
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
