"""The challenge's scores, by the rules of three times, and what is told beside them.

    result, extended = evaluate("submission.zip", "ground_truth.zarr", Rules("2026-06"))

Arrays are [z, y, x]; sizes in nm. Predictions of instances are split into connected components before they are matched, the
truth is not, as published: a truth whose ids consist of several pieces does not score 1 against itself.
"""

from lsd_experiments.families.cellmap.evaluation.scoring import RULES, Rules, evaluate

__all__ = ["RULES", "Rules", "evaluate"]
