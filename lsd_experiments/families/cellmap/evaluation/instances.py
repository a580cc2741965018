"""Scores of a class of instances in one crop, by the rules of a time.

| rules | how objects are matched | distance of one without a partner |
|---|---|---|
| 2025-09 | largest total IoU, of all pairs | infinite |
| 2026-06 | largest total IoU of those that overlap | half the crop's shortest side, which none exceeds |
| latest | the same | infinite, and the others' scores reach from 0.1 to 1 |

``parity``: since 2026, with the published program's defects: a prediction without a partner keeps its number, and is taken for
a part of the one that stands for the truth of that number; and too many instances count neither for nor against.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.families.cellmap.evaluation.distances import matched_distances
from lsd_experiments.families.cellmap.evaluation.matching import Pairs, match_all, match_overlapping
from lsd_experiments.families.cellmap.evaluation.overlaps import Objects, Overlaps, overlaps

MOST_OVERLAPS = 5_000_000
FLOOR = 0.1  # the least that a partner scores by the latest rules
TOO_MANY = "skipped_too_many_instances"
RATIO_2025 = 50


def score_instances(truth: Objects, prediction: Objects, voxel_size: Sequence[float], rules: str,
                    parity: bool = False) -> tuple[dict[str, Any], Overlaps | None]:
    """What one crop adds to its class by the ``rules``, and the overlaps it follows from (None if there are too many)."""
    if _too_many(truth, prediction, rules):
        return _too_many_scores(truth, rules, parity), None
    found = overlaps(truth, prediction)
    if rules == "2025-09":
        return _of_2025(truth, prediction, found, voxel_size), found
    if len(found.truths) > MOST_OVERLAPS:
        return _too_many_scores(truth, rules, parity), None
    pairs = match_overlapping(found, len(truth.ids), len(prediction.ids))
    distances = _distances(truth, prediction, pairs, voxel_size, parity)
    cap = largest_distance(voxel_size, truth.labels.shape)
    norms = normalized(np.minimum(distances, cap).astype(np.float32), voxel_size)  # as published
    alone = len(prediction.ids) - len(pairs[1])
    if rules == "latest":
        least = float(normalized(np.float64(cap), voxel_size))
        norms = np.where(np.isfinite(distances), FLOOR + (1 - FLOOR) * (norms - least) / (1 - least), 0)
        total = float(norms.sum())
    else:
        total = float(np.concatenate([norms, normalized(np.full(alone, cap, np.float32), voxel_size)]).sum())
    scores = {"tp": len(pairs[0]), "fp": alone, "fn": len(truth.ids) - len(pairs[0]), "hausdorff_norm_sum": total,
              "n_hausdorff": len(truth.ids) + alone, "status": "scored"}
    return scores, found


def missing_instances(truth: Objects, rules: str) -> dict[str, Any]:
    """What a class adds that was not submitted: all of the truth is missed."""
    if rules == "2025-09":
        return {"accuracy": 0.0, "hausdorff_distance": 0.0, "normalized_hausdorff_distance": 0.0, "combined_score": 0.0}
    return {"tp": 0, "fp": 0, "fn": len(truth.ids), "hausdorff_norm_sum": 0.0, "n_hausdorff": len(truth.ids)}


def largest_distance(voxel_size: Sequence[float], shape: Sequence[int]) -> float:
    """nm: half the crop's shortest side."""
    return float(min(size * length / 2 for size, length in zip(voxel_size, shape, strict=True)))


def normalized(distance: Any, voxel_size: Sequence[float]) -> NDArray[np.float64]:
    """1 of no distance, less by a hundredth for each diagonal of a voxel, 0 of an infinite one."""
    return np.asarray(1.01 ** (-np.asarray(distance, np.float64) / np.linalg.norm(voxel_size)))


def _too_many(truth: Objects, prediction: Objects, rules: str) -> bool:
    number, highest = len(prediction.ids), truth.highest
    if not number or not highest:
        return False
    if rules == "2025-09":
        return number / len(truth.ids) > RATIO_2025
    return bool(number / highest > 10 + 50 * np.exp(-highest / 5))


def _too_many_scores(truth: Objects, rules: str, parity: bool) -> dict[str, Any]:
    if rules == "2025-09":
        return {**missing_instances(truth, rules), "accuracy": 0, "hausdorff_distance": None}
    if parity:
        return {"tp": 0, "fp": 0, "fn": 0, "hausdorff_norm_sum": 0.0, "n_hausdorff": 0, "status": TOO_MANY}
    return {**missing_instances(truth, rules), "status": TOO_MANY}


def _distances(truth: Objects, prediction: Objects, pairs: Pairs, voxel_size: Sequence[float],
               parity: bool) -> NDArray[np.float64]:
    """[n] nm of each object of the truth, infinite without a partner."""
    distances = np.full(len(truth.ids), np.inf)
    if parity:
        prediction = renumbered(truth, prediction, pairs)
        pairs = tuple(np.intersect1d(truth.ids, prediction.ids, return_indices=True)[1:])  # type: ignore[assignment]
    distances[pairs[0]] = matched_distances(truth, prediction, pairs, voxel_size)
    return distances


def renumbered(truth: Objects, prediction: Objects, pairs: Pairs) -> Objects:
    """``prediction`` with the numbers of the truth, where those without a partner keep theirs, as published."""
    lut = np.arange(prediction.highest + 1, dtype=np.uint32)
    lut[prediction.ids[pairs[1]]] = truth.ids[pairs[0]]
    ids, which = np.unique(lut[1:], return_inverse=True)
    sizes = np.bincount(which, weights=prediction.sizes, minlength=len(ids)).astype(np.int64)
    return Objects(lut[prediction.labels], ids.astype(np.int64), sizes)


def _of_2025(truth: Objects, prediction: Objects, found: Overlaps, voxel_size: Sequence[float]) -> dict[str, Any]:
    """Accuracy of voxels after matching, and the mean distance; that of a prediction without objects is 0, as published."""
    pairs = match_all(found, len(truth.ids), len(prediction.ids))
    distances = _distances(truth, prediction, pairs, voxel_size, parity=False) if len(prediction.ids) else np.zeros(0)
    mean = float(np.mean(distances)) if len(distances) else 0.0
    accuracy, norm = _same_voxels(truth, prediction, pairs) / truth.labels.size, float(normalized(mean, voxel_size))
    return {"accuracy": accuracy, "hausdorff_distance": mean if np.isfinite(mean) else None,
            "normalized_hausdorff_distance": norm, "combined_score": float(np.sqrt(accuracy * norm))}


def _same_voxels(truth: Objects, prediction: Objects, pairs: Pairs) -> int:
    """Voxels that are background in both, or of two objects that are partners; an object without one is background."""
    lut = np.zeros(prediction.highest + 1, np.uint32)
    lut[prediction.ids[pairs[1]]] = truth.ids[pairs[0]]
    return int(np.count_nonzero(lut[prediction.labels] == truth.labels))
