"""The scores of SNEMI3D, as PyTorch Connectomics computes them.

``snemi3d_rand_error`` is the challenges' adapted Rand error, see :mod:`lsd_experiments.evaluation.adapted_rand`: voxels of
segment 0 are a segment each. ``adapted_rand_error`` is scikit-image's, for which segment 0 is one like any other. Voxels of label
0 do not count in either.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments import evaluation
from lsd_experiments.evaluation.adapted_rand import adapted_rand as of_table
from lsd_experiments.evaluation.borders import near_border
from lsd_experiments.evaluation.counting import Contingency, contingency

Ids = NDArray[np.integer]


def scores(segmentation: Ids, labels: Ids, gt_border: float = 0) -> dict[str, float]:
    """All scores of :func:`lsd_experiments.evaluation.evaluate_segmentation`, and SNEMI3D's.

    :param segmentation: ids, [z, y, x]
    :param labels: ids of the same shape
    :param gt_border: pixels within which voxels near another label, in their section, do not count; 0 is all count. The published
        program has 6.25 (25 nm of 4)
    :raises UserError: if the shapes differ, or no voxel is labelled
    """
    if gt_border:
        labels = np.where(near_border(labels, gt_border), labels.dtype.type(0), labels)
    return scores_of(contingency(segmentation, labels), int(np.asarray(labels).size))


def scores_of(table: Contingency, voxels: int) -> dict[str, float]:
    """The same of a table that was counted over so many ``voxels``, unlabelled ones included."""
    found = evaluation.metrics.scores(table)
    rand = of_table(table, voxels)
    return found | {f"snemi3d_rand_{name}": value for name, value in rand.items()}


def adapted_rand(segmentation: Ids, labels: Ids) -> dict[str, float]:
    """``error``, ``precision`` and ``recall`` of the challenges."""
    return of_table(contingency(segmentation, labels), int(np.asarray(labels).size))


def voi(segmentation: Ids, labels: Ids) -> tuple[float, float]:
    """Bits lost to splits and to merges."""
    found = evaluation.evaluate_segmentation(segmentation, labels)
    return found["voi_split"], found["voi_merge"]


def binary_jaccard(prediction: NDArray[Any], labels: NDArray[Any], thresholds: Sequence[float] = (0.5,)) -> NDArray[np.float64]:
    """Rows of foreground's Jaccard index, its mean with background's, precision and recall, one for each of ``thresholds``.

    :param prediction: 0 to 1; what is above a threshold is foreground
    :param labels: of the same shape, foreground is not 0
    :return: NaN where there is nothing to divide by
    """
    truth = labels != 0
    rows = []
    for threshold in thresholds:
        found = prediction > threshold
        hits, missed, false, rest = (int(np.count_nonzero(mask)) for mask in (
            found & truth, ~found & truth, found & ~truth, ~found & ~truth))
        foreground = _ratio(hits, hits + missed + false)
        background = _ratio(rest, rest + missed + false)
        rows.append((foreground, (foreground + background) / 2, _ratio(hits, hits + false), _ratio(hits, hits + missed)))
    return np.array(rows)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
