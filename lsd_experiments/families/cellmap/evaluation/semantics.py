"""Scores of a class that is not of instances in one crop: voxels above 0 in the prediction and in the truth."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def score_semantic(truth: NDArray[Any], prediction: NDArray[Any], rules: str) -> dict[str, Any]:
    """What one crop adds to its class by the ``rules``; both arrays are [z, y, x]."""
    is_there, is_said = truth > 0, prediction > 0
    tp = int(np.count_nonzero(is_there & is_said))
    fp, fn = int(np.count_nonzero(is_said)) - tp, int(np.count_nonzero(is_there)) - tp
    if rules == "2025-09":
        all_of = tp + fp + fn
        return {"iou": tp / all_of if all_of else 1.0, "dice_score": 2 * tp / (all_of + tp) if all_of else 1.0}
    return {"tp": tp, "fp": fp, "fn": fn, "status": "scored"}


def missing_semantic(voxels: int, rules: str) -> dict[str, Any]:
    """What a class adds that was not submitted: each of the crop's ``voxels`` is missed, as published."""
    return {"iou": 0.0, "dice_score": 0.0} if rules == "2025-09" else {"tp": 0, "fp": 0, "fn": voxels}
