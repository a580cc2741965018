"""What is told beside the challenge's scores: panoptic quality, VOI and Rand, and how sure the scores are.

Panoptic quality is the sum of the IoUs of pairs above 0.5 by tp + fp/2 + fn/2, all over crops; of a class that is not of
instances, all its voxels are one object. VOI and Rand are of single crops, over voxels of the truth's objects, and their means.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Summary:
    """Over crops: of each score, and each class, its value, and where it lies in 95 of 100 draws of as many crops."""

    values: dict[str, dict[str, float]]
    intervals: dict[str, dict[str, list[float]]]


def summary(told: Crops, seed: int = 0) -> Summary:
    """``panoptic_quality`` of each class, and the means of VOI and Rand over the crops that have them.

    Panoptic quality is 1 where there is nothing to be found, and nothing was.
    """
    crops = sorted(told)
    times = np.concatenate([np.ones((1, len(crops)), int), draws(len(crops), seed)])
    values: dict[str, dict[str, float]] = {}
    intervals: dict[str, dict[str, list[float]]] = {}
    for label in sorted({label for scores in told.values() for label in scores}):
        rows = [told[crop].get(label, {}) for crop in crops]
        for name, found in _over_crops(rows, times):
            if np.isfinite(found[0]):
                values.setdefault(name, {})[label] = float(found[0])
                if len(crops) > 1:
                    intervals.setdefault(name, {})[label] = _interval(found[1:])
    return Summary(values, intervals)


def _over_crops(rows: list[Mapping[str, Any]], times: NDArray[np.int64]) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Each score of a class, for each row of ``times``: how often each crop counts; NaN where none has it."""
    there = np.array([bool(row) for row in rows])
    part = np.array([row.get("sum_iou", 0.0) for row in rows])
    whole = np.array([row.get("tp", 0) + (row.get("fp", 0) + row.get("fn", 0)) / 2 for row in rows])
    with np.errstate(invalid="ignore"):
        quality = np.where(times @ whole > 0, times @ part / (times @ whole), 1.0)
        yield "panoptic_quality", np.where(times @ there > 0, quality, np.nan)
        for name in CLUSTERING:
            has = np.array([name in row for row in rows])
            yield name, times @ np.array([row.get(name, 0.0) for row in rows]) / (times @ has)


def draws(number: int, seed: int = 0) -> NDArray[np.int64]:
    """[draws, number]: how often each of ``number`` crops is drawn, with replacement."""
    drawn = np.random.default_rng(seed).integers(0, number, (DRAWS, number))
    return np.array([np.bincount(row, minlength=number) for row in drawn])


def _interval(values: NDArray[Any]) -> list[float]:
    return [float(value) for value in np.nanpercentile(values, INTERVAL)]


def intervals(crops: Crops, rules: str, instances: Collection[str], seed: int = 0) -> dict[str, list[float]]:
    """Where the overall scores lie in 95 of 100 draws of as many crops, with replacement; empty of a single crop.

    Draws lack classes that only some crops have, so that these widen the interval, as they should.
    """
    if len(crops) < 2:
        return {}
    names = sorted(crops)
    drawn = [_overall(crops, rules, instances, times, names) for times in draws(len(names), seed)]
    return {key: _interval(np.array([one[key] for one in drawn])) for key in drawn[0]}


def _overall(crops: Crops, rules: str, instances: Collection[str], times: NDArray[Any], names: list[str]) -> Mapping[str, float]:
    pooled = pool(crops, rules, instances, dict(zip(names, map(int, times), strict=True)))
    return {key: value for key, value in pooled.items() if key != "label_scores"}
