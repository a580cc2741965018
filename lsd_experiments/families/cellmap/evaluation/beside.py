"""What is told beside the challenge's scores: panoptic quality, VOI and Rand, and how sure the scores are.

Panoptic quality is the sum of the IoUs of pairs above 0.5 by tp + fp/2 + fn/2, all over crops; of a class that is not of
instances, all its voxels are one object. VOI and Rand are of single crops, over voxels of the truth's objects.
"""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.evaluation import evaluate_segmentation
from lsd_experiments.families.cellmap.evaluation.overlaps import Objects, Overlaps
from lsd_experiments.families.cellmap.evaluation.pooling import Crops, pool

PARTNERS = 0.5  # above it, an object has one partner at most
DRAWS, INTERVAL = 1000, (2.5, 97.5)  # percent
CLUSTERING = ("voi_split", "voi_merge", "rand_split", "rand_merge", "adapted_rand_error")


def of_instances(truth: Objects, prediction: Objects, found: Overlaps | None) -> dict[str, Any]:
    """Panoptic counts, VOI and Rand of one crop; no clustering scores where the truth has no object."""
    ious = found.ious[found.ious > PARTNERS] if found is not None else np.zeros(0, np.float32)
    tp = len(ious)
    told = {"tp": tp, "fp": len(prediction.ids) - tp, "fn": len(truth.ids) - tp, "sum_iou": float(ious.sum(dtype=np.float64))}
    if not len(truth.ids):
        return told
    scores = evaluate_segmentation(prediction.labels, truth.labels)
    return {**told, **{key: scores[key] for key in CLUSTERING}}


def of_semantic(truth: NDArray[Any], prediction: NDArray[Any]) -> dict[str, Any]:
    """Panoptic counts of one crop: an object or none on either side."""
    is_there, is_said = truth > 0, prediction > 0
    both = int(np.count_nonzero(is_there & is_said))
    either = int(np.count_nonzero(is_there | is_said))
    tp = int(either > 0 and both / either > PARTNERS)
    return {"tp": tp, "fp": int(is_said.any()) - tp, "fn": int(is_there.any()) - tp, "sum_iou": both / either if tp else 0.0}


def of_missing(objects: int) -> dict[str, Any]:
    """Panoptic counts of a class that was not submitted."""
    return {"tp": 0, "fp": 0, "fn": objects, "sum_iou": 0.0}


def panoptic_quality(told: Crops) -> dict[str, float]:
    """Of each class, over crops; 1 where there is nothing to be found, and nothing was."""
    sums: dict[str, NDArray[np.float64]] = {}
    for scores in told.values():
        for label, one in scores.items():
            added = np.array([one["sum_iou"], one["tp"] + (one["fp"] + one["fn"]) / 2])
            sums[label] = sums.get(label, 0) + added
    return {label: float(part / whole) if whole else 1.0 for label, (part, whole) in sorted(sums.items())}


def intervals(crops: Crops, rules: str, instances: Collection[str], seed: int = 0) -> dict[str, list[float]]:
    """Where the overall scores lie in 95 of 100 draws of as many crops, with replacement; empty of a single crop.

    Draws lack classes that only some crops have, so that these widen the interval, as they should.
    """
    if len(crops) < 2:
        return {}
    names = sorted(crops)
    rng = np.random.default_rng(seed)
    drawn = [_overall(crops, rules, instances, np.bincount(rng.integers(0, len(names), len(names)), minlength=len(names)), names)
             for _ in range(DRAWS)]
    return {key: [float(value) for value in np.percentile([one[key] for one in drawn], INTERVAL)] for key in drawn[0]}


def _overall(crops: Crops, rules: str, instances: Collection[str], times: NDArray[Any], names: list[str]) -> Mapping[str, float]:
    pooled = pool(crops, rules, instances, dict(zip(names, map(int, times), strict=True)))
    return {key: value for key, value in pooled.items() if key != "label_scores"}
