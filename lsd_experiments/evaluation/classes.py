"""Scores of masks of classes against the ground truth, voxel by voxel.

With TP the voxels of a class in both, FP those in the mask only, FN those in the truth only:

| score | definition |
|---|---|
| ``iou`` | TP / (TP + FP + FN) |
| ``dice`` | 2 TP / (2 TP + FP + FN), the F1 score |
| ``precision``, ``recall`` | TP / (TP + FP), TP / (TP + FN) |

A score whose denominator is 0 is None: a class that is in neither has no IoU. Means are over the classes that have the score.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.errors import UserError
from lsd_experiments.evaluation.volumes import blocks_of
from lsd_experiments.geometry import Box

if TYPE_CHECKING:
    from lsd_experiments.arrays import Volume

Counts = NDArray[np.int64]  # [c, 2, 2] voxels by class, truth and mask
SCORES = ("iou", "dice", "precision", "recall")


def count_classes(masks: NDArray[Any], truth: NDArray[np.bool_]) -> Counts:
    """[c, 2, 2] the voxels of each class by ``truth`` and by ``masks``, both [c, z, y, x]."""
    codes = 2 * truth.reshape(len(truth), -1) + (masks.reshape(len(masks), -1) != 0)
    return np.stack([np.bincount(code, minlength=4).reshape(2, 2) for code in codes])


def class_scores(counts: Counts) -> list[dict[str, float | None]]:
    """The scores of each class; see the module."""
    return [_scores(*(int(n) for n in each.ravel())) for each in counts]


def mean_scores(rows: Sequence[Mapping[str, float | None]]) -> dict[str, float | None]:
    """The mean of each score over those of ``rows`` that have it; None where none has."""
    found = {score: [row[score] for row in rows if row[score] is not None] for score in SCORES}
    return {score: float(np.mean(np.asarray(values, float))) if values else None for score, values in found.items()}


def evaluate_class_volumes(masks: "Volume", truth: "Volume", ids: Sequence[int] | None = None,
                           box: Box | None = None) -> list[dict[str, float | None]]:
    """The scores of each class of ``masks`` on disk, block by block.

    :param truth: [c, z, y, x], not 0 where a class is; or [z, y, x] with ids
    :param ids: the id of each class (default: of one class, all but 0; else 1, 2, ...)
    :param box: the part to evaluate, in voxels of ``truth`` (default: all that both cover)
    :raises UserError: if they do not fit each other
    """
    from lsd_experiments.arrays import overlap
    from lsd_experiments.arrays.alignments import check_same_alignment

    classes = masks.channels or 1
    check_classes(masks, truth, ids)
    check_same_alignment(masks, truth)
    whole, theirs = overlap(truth, masks)
    shift = tuple(m - t for m, t in zip(theirs.begin, whole.begin, strict=True))
    counts = np.zeros((classes, 2, 2), np.int64)
    for block in blocks_of(truth, whole if box is None else box):
        found = masks.read(block.shift(shift)).reshape(classes, *block.shape)
        counts += count_classes(found, _of_classes(truth, block, classes, ids))
    return class_scores(counts)


def check_classes(masks: "Volume", truth: "Volume", ids: Sequence[int] | None) -> None:
    """:raises UserError: if ``truth`` does not tell the classes of ``masks`` apart"""
    from lsd_experiments.arrays import check_labels

    classes = masks.channels or 1
    if truth.channels is None:
        check_labels(truth)
    elif truth.channels != classes:
        raise UserError(f"{truth.name} has {truth.channels} channels, and {masks.name} {classes} classes. Name labels of the "
                        "same classes, or take others by channels in [threshold]")
    if ids is not None and (truth.channels is not None or len(ids) != classes):
        raise UserError(f"[evaluate] label_ids: {len(ids)} ids for {classes} classes"
                        + (f" of {truth.name}, whose channels are classes. Leave them out" if truth.channels is not None
                           else ". Give one for each"))


def _of_classes(truth: "Volume", block: Box, classes: int, ids: Sequence[int] | None) -> NDArray[np.bool_]:
    """[c, z, y, x] where each class is."""
    from lsd_experiments.arrays import read_ids

    if truth.channels is not None:
        of_channels: NDArray[np.bool_] = truth.read(block) != 0
        return of_channels
    labels = read_ids(truth, block)
    if classes == 1 and ids is None:
        of_labels: NDArray[np.bool_] = (labels != 0)[None]
        return of_labels
    return np.stack([labels == number for number in ids or range(1, classes + 1)])


def _scores(nothing: int, extra: int, missed: int, both: int) -> dict[str, float | None]:
    def share(part: int, of: int) -> float | None:
        return part / of if of else None

    return {"iou": share(both, both + extra + missed), "dice": share(2 * both, 2 * both + extra + missed),
            "precision": share(both, both + extra), "recall": share(both, both + missed),
            "true_positives": both, "false_positives": extra, "false_negatives": missed, "true_negatives": nothing}
