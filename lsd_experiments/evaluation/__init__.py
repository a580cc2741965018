"""How well a segmentation matches the ground truth: VOI, Rand and adapted Rand, over thresholds, and their report.

On skeletons: expected run length, splits and merges, XPRESS's scores; see :mod:`lsd_experiments.evaluation.skeletons`.

Arrays are of non-negative integer ids. Ground truth 0 is unlabelled and ignored; segment 0 is a segment like any other.
Entropies are in bits (base 2). Everything follows from a sparse contingency table, which is counted block by block.
"""

from lsd_experiments.evaluation.counting import Contingency, PairCounter, contingency
from lsd_experiments.evaluation.deciding import DIRECTIONS, check_metric
from lsd_experiments.evaluation.metrics import evaluate_segmentation, scores
from lsd_experiments.evaluation.mincut import evaluate_mincut
from lsd_experiments.evaluation.plots import plot_scores
from lsd_experiments.evaluation.reports import check_prefix, table, write_scores
from lsd_experiments.evaluation.skeleton_errors import find_errors
from lsd_experiments.evaluation.skeletons import evaluate_luts, evaluate_skeletons
from lsd_experiments.evaluation.thresholds import best, evaluate_thresholds
from lsd_experiments.evaluation.volumes import evaluate_volumes, volume_contingency

__all__ = ["DIRECTIONS", "Contingency", "PairCounter", "best", "check_metric", "check_prefix", "contingency", "evaluate_luts",
           "evaluate_mincut", "evaluate_segmentation", "evaluate_skeletons", "evaluate_thresholds", "evaluate_volumes",
           "find_errors", "plot_scores", "scores", "table", "volume_contingency", "write_scores"]
