"""The scores of classes and of a submission, from those of its crops.

2025-09: means over crops, weighted by their volume in nm cubed. Since 2026-06: counts are added over crops, and ratios are of
the sums. The submission's score is the geometric mean of two plain means, over classes of instances and over the others.
"""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

Crops = Mapping[str, Mapping[str, Mapping[str, Any]]]

OF_INSTANCES = ("accuracy", "hausdorff_distance", "normalized_hausdorff_distance", "combined_score")
COUNTS = ("tp", "fp", "fn")


def pool(crops: Crops, rules: str, instances: Collection[str], weights: Mapping[str, int] | None = None) -> dict[str, Any]:
    """``label_scores`` and the three overall scores of ``crops``: by crop and class, what each adds.

    :param weights: how often each crop counts (default: once)
    """
    of_class = _mean_over_crops if rules == "2025-09" else _of_sums
    by_class: dict[str, list[tuple[Mapping[str, Any], int]]] = {}
    for crop, scores in crops.items():
        times = 1 if weights is None else weights.get(crop, 0)
        for label, added in scores.items() if times else ():
            by_class.setdefault(label, []).append((added, times))
    labels = {label: of_class(added, label in instances) for label, added in by_class.items()}
    instance = _mean([scores["combined_score"] for label, scores in labels.items() if label in instances])
    semantic = _mean([scores["iou"] for label, scores in labels.items() if label not in instances])
    return {"label_scores": labels, "overall_instance_score": instance, "overall_semantic_score": semantic,
            "overall_score": float(np.sqrt(instance * semantic))}


def _of_sums(added: list[tuple[Mapping[str, Any], int]], is_instance: bool) -> dict[str, Any]:
    tp, fp, fn = (sum(times * one[key] for one, times in added) for key in COUNTS)
    counts = {"tp": tp, "fp": fp, "fn": fn}
    if not is_instance:
        return {"iou": _ratio(tp, tp + fp + fn), **counts}
    distance = _ratio(*(sum(times * one[key] for one, times in added) for key in ("hausdorff_norm_sum", "n_hausdorff")))
    f1 = _ratio(2 * tp, 2 * tp + fp + fn)
    return {"f1": f1, "normalized_hausdorff_distance": distance, "combined_score": float(np.sqrt(f1 * distance)), **counts}


def _mean_over_crops(added: list[tuple[Mapping[str, Any], int]], is_instance: bool) -> dict[str, Any]:
    """An infinite distance (null) is left out of its mean, as published; scores that follow from it are 0."""
    volumes = [times * float(np.prod(one["voxel_size"])) * one["num_voxels"] for one, times in added]
    keys = OF_INSTANCES if is_instance else ("iou", "dice_score")
    return {key: sum(volume * (one[key] or 0) for volume, (one, _) in zip(volumes, added, strict=True)) / sum(volumes)
            for key in keys}


def _ratio(part: float, whole: float) -> float:
    """1 where there is nothing to be found, and nothing was."""
    return part / whole if whole else 1.0


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0
