"""The regions in which the challenge evaluates."""

from lsd_experiments.evaluation.skeleton_volumes import Roi

XPRESS_ROIS: dict[str, Roi] = {  # of the challenge: trivoldus28/xray-challenge-eval, eval/eval.py
    "validation": ((8316, 8316, 8316), (23067, 23067, 23067)),
    "test": ((3267, 3267, 3267), (33066, 33066, 33066)),
}
