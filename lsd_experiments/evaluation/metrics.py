"""Scores of a segmentation s against the ground truth t, from their contingency table.

With p_st the share of voxels in segment s and label t, p_s and p_t those of the segment and the label:

| score | meaning | definition |
|---|---|---|
| ``voi_split`` | bits lost to splits | H(s given t) = -sum p_st log2(p_st / p_t) |
| ``voi_merge`` | bits lost to merges | H(t given s) = -sum p_st log2(p_st / p_s) |
| ``voi_sum`` | variation of information | their sum |
| ``nvi_split``, ``nvi_merge``, ``nvi_sum`` | the same, in [0, 1] | divided by the joint entropy |
| ``rand_split`` | 1 without splits | sum p_st^2 / sum p_t^2 |
| ``rand_merge`` | 1 without merges | sum p_st^2 / sum p_s^2 |
| ``adapted_rand_error`` | 0 is best | 1 - 2 S_st / (S_s + S_t), S counting the pairs of different voxels |

VOI and Rand are those of ``funlib.evaluate`` and ``waterz.evaluate``, which the paper reports; the adapted Rand error
is that of ``skimage.metrics.adapted_rand_error``, where a voxel is no pair with itself.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.errors import UserError
from lsd_experiments.evaluation.counting import Contingency, contingency


def evaluate_segmentation(segmentation: NDArray[np.integer], labels: NDArray[np.integer]) -> dict[str, float]:
    """All scores of ``segmentation`` against the ground truth ``labels``.

    :param segmentation: ids, [z, y, x] or any other shape; 0 is a segment like any other
    :param labels: ids of the same shape; voxels of 0 are ignored
    :returns: ``voi_split``, ``voi_merge``, ``voi_sum``, ``nvi_split``, ``nvi_merge``, ``nvi_sum``, ``rand_split``,
        ``rand_merge``, ``adapted_rand_error``, and the number of ``segments``, ``labels`` and ``voxels`` compared
    :raises UserError: if the shapes differ, ids are not of integers or negative, or no voxel is labelled
    """
    return scores(contingency(segmentation, labels))


def scores(table: Contingency) -> dict[str, float]:
    """All scores that ``table`` gives; see the module.

    :raises UserError: if it counts no voxel
    """
    if not len(table.counts):
        raise UserError("no voxel of the region is labelled: all labels there are 0. Name another region")
    st = table.counts.astype(np.float64)
    s, s_of = _totals(table.segments, st)
    t, t_of = _totals(table.labels, st)
    n = float(st.sum())
    split, merge = _entropy(st, t[t_of], n), _entropy(st, s[s_of], n)
    joint = _entropy(st, n, n)
    squares_st, squares_s, squares_t = (float(c @ c) for c in (st, s, t))
    pairs = squares_s + squares_t - 2 * n
    return {
        "voi_split": split, "voi_merge": merge, "voi_sum": split + merge,
        "nvi_split": _share(split, joint), "nvi_merge": _share(merge, joint), "nvi_sum": _share(split + merge, joint),
        "rand_split": squares_st / squares_t, "rand_merge": squares_st / squares_s,
        "adapted_rand_error": float(1 - 2 * (squares_st - n) / pairs) if pairs else 0.0,
        "segments": len(s), "labels": len(t), "voxels": table.voxels,
    }


def _totals(ids: NDArray[np.uint64], counts: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """[m] voxels of each id, and [n] which of them each pair has."""
    _, inverse = np.unique(ids, return_inverse=True)
    return np.bincount(inverse, weights=counts).astype(np.float64), inverse


def _entropy(counts: NDArray[np.float64], given: NDArray[np.float64] | float, n: float) -> float:
    """Bits per voxel; 0.0 rather than -0.0 if there are none."""
    return max(0.0, float(counts @ np.log2(given / counts)) / n)


def _share(entropy: float, joint: float) -> float:
    return entropy / joint if joint else 0.0
