"""Scores of masks of classes."""

import numpy as np
import pytest

from lsd_experiments.arrays import create_volume, open_volume
from lsd_experiments.errors import UserError
from lsd_experiments.evaluation.classes import class_scores, count_classes, evaluate_class_volumes, mean_scores

VOXEL_SIZE, SHAPE = (50, 8, 8), (6, 10, 12)


def test_the_four_scores():
    truth = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0], bool).reshape(1, 1, 1, 10)
    masks = np.array([1, 1, 1, 0, 1, 1, 0, 0, 0, 0]).reshape(1, 1, 1, 10)
    (found,) = class_scores(count_classes(masks, truth))
    assert found == {"iou": 3 / 6, "dice": 6 / 9, "precision": 3 / 5, "recall": 3 / 4, "true_positives": 3, "false_positives": 2,
                     "false_negatives": 1, "true_negatives": 4}


def test_a_class_that_is_in_neither_has_no_score_and_does_not_count_in_the_mean():
    nothing = np.zeros((1, 2, 2, 2), bool)
    rows = class_scores(np.concatenate([count_classes(nothing, nothing), count_classes(~nothing, ~nothing),
                                        count_classes(nothing, ~nothing)]))
    assert [row["iou"] for row in rows] == [None, 1, 0]
    assert mean_scores(rows) == {"iou": 0.5, "dice": 0.5, "precision": 1, "recall": 0.5}
    assert mean_scores(rows[:1])["iou"] is None


def put(path, name, values, offset=(0, 0, 0)):
    volume = create_volume(str(path), name, values.shape[-3:], VOXEL_SIZE, offset, values.dtype,
                           channels=len(values) if values.ndim == 4 else None)
    volume.write(volume.box, values)
    return open_volume(str(path), name)


def test_volumes_are_compared_where_both_are(tmp_path):
    """Labels of ids or of channels; the masks begin elsewhere."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 4, SHAPE).astype(np.uint64)  # 3 is no class
    masks = random.integers(0, 2, (2, 5, 10, 9)).astype(np.uint8)
    found = put(tmp_path / "m.zarr", "masks", masks, (50, 0, 24))
    inside = labels[1:, :, 3:]
    wanted = class_scores(count_classes(masks, np.stack([inside == 1, inside == 2])))
    assert evaluate_class_volumes(found, put(tmp_path / "l.zarr", "ids", labels)) == wanted
    of_channels = put(tmp_path / "l.zarr", "channels", np.stack([labels == 1, labels == 2]).astype(np.uint8) * 7)
    assert evaluate_class_volumes(found, of_channels) == wanted
    swapped = class_scores(count_classes(masks, np.stack([inside == 3, inside == 1])))
    assert evaluate_class_volumes(found, open_volume(str(tmp_path / "l.zarr"), "ids"), (3, 1)) == swapped != wanted


def test_one_class_is_all_but_background(tmp_path):
    labels = np.random.default_rng(0).integers(0, 4, SHAPE).astype(np.uint64)
    found = put(tmp_path / "m.zarr", "mask", (labels > 0).astype(np.uint8))
    (row,) = evaluate_class_volumes(found, put(tmp_path / "l.zarr", "ids", labels))
    assert row["iou"] == 1
    (row,) = evaluate_class_volumes(found, open_volume(str(tmp_path / "l.zarr"), "ids"), (2,))
    assert row["iou"] < 1


@pytest.mark.parametrize(("channels", "ids", "says"), [
    (3, None, "has 3 channels, and .* 2 classes"), (2, (1, 2), "whose channels are classes"),
    (None, (1,), "1 ids for 2 classes")])
def test_other_classes_are_refused(tmp_path, channels, ids, says):
    masks = put(tmp_path / "m.zarr", "masks", np.zeros((2, *SHAPE), np.uint8))
    truth = put(tmp_path / "l.zarr", "labels", np.zeros((channels, *SHAPE) if channels else SHAPE, np.uint8))
    with pytest.raises(UserError, match=says):
        evaluate_class_volumes(masks, truth, ids)
