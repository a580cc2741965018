"""The adapted Rand error of the challenges SNEMI3D and CREMI: voxels of segment 0 are one segment each.

With a_t the voxels of label t, b_s those of segment s, p_st those of both, of labelled voxels, and r the share of all voxels of
the volume that are labelled and of segment 0:

    A = sum a_t^2    B = sum_{s > 0} b_s^2    D = sum_{s > 0} p_st^2
    precision = (D + r) / (B + r)    recall = (D + r) / A    error = 1 - 2 precision recall / (precision + recall)

As published, r is a share where A, B and D are of counts; as probabilities each such voxel would add 1 / n^2. The effect is
small, and scores are comparable only so. ``adapted_rand_error`` of :mod:`lsd_experiments.evaluation.metrics` is scikit-image's.
"""

import numpy as np

from lsd_experiments.errors import UserError
from lsd_experiments.evaluation.counting import Contingency


def adapted_rand(table: Contingency, voxels: int) -> dict[str, float]:
    """``error``, ``precision`` and ``recall``; see the module.

    :param table: of a segmentation and its labels
    :param voxels: of the volume, those that are not labelled included
    :raises UserError: if no voxel is labelled
    """
    if not len(table.counts):
        raise UserError("no voxel of the region is labelled, so that there is no Rand error. Name another region")
    counts = table.counts.astype(np.float64)
    segmented = table.segments != 0
    of_labels = _squares(table.labels, counts)
    of_segments = _squares(table.segments[segmented], counts[segmented])
    both = float((counts[segmented] ** 2).sum())
    left_out = float(counts[~segmented].sum()) / voxels
    precision, recall = (both + left_out) / (of_segments + left_out), (both + left_out) / of_labels
    return {"error": 1 - 2 * precision * recall / (precision + recall), "precision": precision, "recall": recall}


def _squares(ids: np.ndarray, counts: np.ndarray) -> float:
    """The sum over ids of the square of their counts."""
    _, inverse = np.unique(ids, return_inverse=True)
    return float((np.bincount(inverse, counts) ** 2).sum()) if len(ids) else 0.0
