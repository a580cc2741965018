"""Weights and rejection, against the published program's."""

import json
from random import Random

import numpy as np
import pytest

from lsd_experiments.errors import UserError
from lsd_experiments.families.pytc.rejection import Rejection
from lsd_experiments.families.pytc.targets import REVISIONS, make_targets
from lsd_experiments.families.pytc.weights import NO_WEIGHT, balancing, make_weight, make_weights
from tests.families.pytc.test_targets import FOLDER, MODELS, crops
from tests.published import PUBLISHED, needs_published


@needs_published
@pytest.mark.parametrize("revision", REVISIONS)
def test_published_weights(revision):
    all_labels = crops()
    with np.load(FOLDER / f"weights_{revision}.npz") as file:
        assert len(file.files) == 66
        for key in file:
            crop, erosion, target, weight, masked = key.split("/")
            labels, mask = all_labels[crop], None
            if masked == "mask=True":
                mask = np.ones(labels.shape, np.uint8)
                mask[:, :labels.shape[1] // 3] = mask[-1] = 0
            made, = make_targets(labels, [target], None if erosion.endswith("None") else int(erosion[-1]), None, revision)
            ours, theirs = make_weight(made, weight.partition("=")[2], labels, mask, revision), file[key]
            assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype), key
            np.testing.assert_allclose(ours, theirs, rtol=1e-6, err_msg=f"{revision} {key}")


@needs_published
@pytest.mark.parametrize("model", MODELS)
def test_published_weights_of_training_steps(model):
    options, erosion = MODELS[model]
    with np.load(PUBLISHED / "pytc_models" / f"{model}.npz") as file:
        for sample, labels in enumerate(file["train_label"].astype(np.int32)):
            targets = make_targets(labels, options, erosion)
            names = [[name for name in sorted(file) if name.startswith(f"train_weight{index}_")] for index in range(len(options))]
            given = [["0" if file[name][sample].size == 1 else "1" for name in row] for row in names]
            assert sum("1" in row for row in given) >= 1
            for row, made in zip(names, make_weights(targets, given, labels), strict=True):
                for name, weight in zip(row, made, strict=True):
                    np.testing.assert_allclose(weight, file[name][sample], rtol=1e-6)


def test_the_rarer_class_weighs_more():
    target = np.zeros((1, 1, 2, 5), np.float32)
    target[0, 0, 0, 0] = 1
    assert np.unique(balancing(target)).tolist() == [1, 9]
    assert balancing(target)[0, 0, 0, 0] == 9
    assert balancing(1 - target)[0, 0, 0, 0] == 9
    assert (balancing(target, dilated=True)[0, 0, :, :2] == 9).all()
    assert balancing(np.ones_like(target)).tolist() == np.ones_like(target).tolist()


def test_a_mask_of_zeros_leaves_no_weight():
    target = np.eye(4, dtype=np.float32)[None, None]
    assert not balancing(target, np.zeros((1, 4, 4), np.uint8)).any()
    assert balancing(target, np.ones((1, 4, 4), np.uint8)).all()


def test_no_weight():
    assert make_weight(np.ones((1, 2, 3, 3), np.float32), "0", np.ones((2, 3, 3), int)) is NO_WEIGHT


@pytest.mark.parametrize("option", ["3", "2", "2-1", "2-a-b", "1-2", ""])
def test_options_that_are_none_are_refused(option):
    with pytest.raises(UserError, match=r"MODEL\.WEIGHT_OPT"):
        make_weight(np.ones((1, 2, 3, 3), np.float32), option, np.ones((2, 3, 3), int))


@needs_published
@pytest.mark.parametrize("revision", REVISIONS)
def test_published_rejection(revision):
    volume = np.zeros((40, 60, 60), int)
    volume[10:20, 20:40, 20:40] = 5
    volume[25:30, 10:20, 30:50] = 9
    decisions = json.loads((FOLDER / f"rejection_{revision}.json").read_text())["decisions"]
    assert len(decisions) == 36
    for case in decisions:
        crop = volume[tuple(slice(at, at + size) for at, size in zip(case["crop_offset"], (8, 20, 20), strict=True))]
        rejection = Rejection(case["size_thres"], case["diversity"], case["p"])
        assert rejection.keeps(crop, Random(case["python_random_seed"])) == case["kept"], case


def test_nothing_is_rejected_by_default():
    assert not Rejection().tests
    assert Rejection().keeps(np.zeros((2, 2, 2)), Random(0))
    assert Rejection(size=1).tests
    assert not Rejection(size=1, probability=1).keeps(np.zeros((2, 2, 2)), Random(0))
