"""Targets and label edits, against the published program's."""

import itertools
import json

import numpy as np
import pytest

from lsd_experiments.errors import UserError
from lsd_experiments.families.pytc.affinities import affinities
from lsd_experiments.families.pytc.flows import flows
from lsd_experiments.families.pytc.label_edits import dilate, has_several, relabel, widen_boundaries
from lsd_experiments.families.pytc.targets import LATEST, REVISIONS, TUTORIAL, channels_of, make_target, make_targets
from tests.published import PUBLISHED, needs_published

FOLDER = PUBLISHED / "pytc_targets"
KEYS = {TUTORIAL: 98, LATEST: 101}
MODELS = {  # targets, and the erosion of the labels
    "snemi_unet3d_se_bn": (["2"], 1), "snemi_unet3d_se_gn": (["2"], 1), "snemi_unet3d_res_adamw": (["2"], 1),
    "snemi_lr_unet3d_se_bn": (["2-1-1-1-v1", "2-2-3-3-v1", "2-3-9-9-v1", "2-4-27-27-v1"], 1),
    "cremi_unetplus3d_se_bn": (["0"], None), "cremi_dt_unetplus3d_se_bn": (["0", "6-2d-4-50"], None),
}


def crops():
    with np.load(FOLDER / "labels.npz") as file:
        return {name: file[name].astype(np.int32) for name in file}


def found(labels, edit, number, rest, revision):
    """What ``key`` of the published outputs is here."""
    if edit == "eroded_label":
        return widen_boundaries(labels, int(number))
    if edit == "mer_list":
        return make_targets(labels, ["2"] * 3, [1, 2, 4])[int(number)]
    erosion, dilation = (None if text.endswith("=None") else int(text.rpartition("=")[2]) for text in (edit, number))
    return make_targets(labels, rest, erosion, dilation, revision)[0]


@needs_published
@pytest.mark.parametrize("revision", REVISIONS)
def test_published_targets(revision):
    labels, index = crops(), json.loads((FOLDER / f"index_{revision}.json").read_text())["targets"]
    with np.load(FOLDER / f"targets_{revision}.npz") as file:
        assert len(file.files) == KEYS[revision]
        for key in file:
            crop, edit, number, *rest = key.split("/")
            ours, theirs = found(labels[crop], edit, number, rest, revision), file[key]
            assert ours.shape == theirs.shape, key
            assert edit in ("eroded_label", "mer_list") or index[key]["dtype"] == ours.dtype.name, key
            exact = theirs.dtype.kind == "u"
            np.testing.assert_allclose(ours, theirs, atol=0 if exact else 1e-6, rtol=0, err_msg=f"{revision} {key}")


@needs_published
@pytest.mark.parametrize("model", MODELS)
def test_published_targets_of_training_steps(model):
    options, erosion = MODELS[model]
    with np.load(PUBLISHED / "pytc_models" / f"{model}.npz") as file:
        for sample, labels in enumerate(file["train_label"]):
            for index, target in enumerate(make_targets(labels.astype(np.int32), options, erosion)):
                np.testing.assert_allclose(target, file[f"train_target{index}"][sample], atol=1e-6, rtol=0)


def test_affinities_look_to_the_lower_side():
    labels = np.array([[[1, 1, 2, 2, 0, 3]]])
    assert affinities(labels)[2, 0, 0].tolist() == [1, 1, 0, 1, 0, 0]
    assert affinities(labels, (1, 1, 2))[2, 0, 0].tolist() == [1, 1, 0, 0, 0, 0]
    assert affinities(labels, centred=True)[2, 0, 0].tolist() == [1, 0, 0, 0, 0, 0]
    assert affinities(labels[0]).shape == (2, 1, 6)


def brute_several(section, steps):
    size = 2 * steps + 1
    padded = np.pad(section, steps, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size))
    return np.array([[len(set(window[window > 0].tolist())) > 1 for window in row] for row in windows])


@pytest.mark.parametrize("steps", [0, 1, 2, 4])
def test_boundaries_widen_between_objects_only(steps):
    labels = np.random.default_rng(3).integers(0, 3, (2, 6, 9)) * 7
    labels[0, :, 4:] = 7
    several = has_several(labels, steps)
    for section, expected in zip(several, labels, strict=True):
        np.testing.assert_array_equal(section, brute_several(expected, steps))
    np.testing.assert_array_equal(widen_boundaries(labels, steps), np.where(several, 0, labels))
    lonely = np.where(labels > 0, 5, 0)
    np.testing.assert_array_equal(widen_boundaries(lonely, steps), lonely)


def test_a_window_wider_than_sections_is_refused():
    with pytest.raises(UserError, match=r"13 voxels is too wide for sections of \(6, 9\)"):
        widen_boundaries(np.ones((2, 6, 9), int), 6)


def test_labels_are_renumbered_and_dilated():
    labels = np.array([[[0, 2**40, 7, 0, 0]]], np.uint64)
    assert relabel(labels).tolist() == [[[0, 2, 1, 0, 0]]]
    assert dilate(relabel(labels), 1).tolist() == [[[2, 2, 2, 1, 0]]]
    assert relabel(labels * 0).tolist() == (labels * 0).tolist()


def test_channels_are_those_of_the_targets():
    labels = np.random.default_rng(0).integers(0, 4, (3, 12, 11)).astype(np.int32)
    for option, revision in itertools.product(["0", "1", "2", "2-1-2-2-v2", "3-25-2-1", "4-1-1", "6", "7", "all"], REVISIONS):
        assert len(make_target(labels, option, revision)) == channels_of(option, revision), option
    assert make_target(labels, "5").ndim == make_target(labels, "9-12").ndim == 3  # classes
    assert (channels_of("5"), channels_of("5", LATEST)) == (11, 1)
    assert (channels_of("5-2d-0-1-5.0-0", LATEST), channels_of("9-12")) == (11, 12)


@pytest.mark.parametrize("option", ["8", "2-1-1-v1", "2-1-1-1-v3", "2-2-1-1-v0", "2-1-1-1-pni", "3-25-2", "3-25-0-1", "4-1",
                                    "4-a-1", "5-2d-0-0-5.0", "5-4d", "6-2d-8", "6-2d-8-0", "6-2d-x-50", "1-3", "0-1-x", ""])
def test_options_that_are_none_are_refused(option):
    with pytest.raises(UserError, match=r"MODEL\.TARGET_OPT"):
        make_target(np.ones((2, 9, 9), np.int32), option)


@needs_published
@pytest.mark.parametrize("revision", REVISIONS)
def test_what_the_published_program_refused(revision):
    """Options of another revision, and one that failed for want of a function."""
    failed = json.loads((FOLDER / f"index_{revision}.json").read_text())["failed"]
    assert len(failed) == (2 if revision == LATEST else 0)
    for option in [key.rpartition("/")[2] for key in failed]:
        with pytest.raises(UserError, match=r"MODEL\.TARGET_OPT"):
            make_target(np.ones((2, 9, 9), np.int32), option, revision)


def test_erosions_must_be_as_many_as_targets():
    with pytest.raises(UserError, match=r"MODEL\.LABEL_EROSION: has 2 values for 3 targets"):
        make_targets(np.ones((2, 9, 9), np.int32), ["2"] * 3, [1, 2])


@pytest.mark.parametrize("option", ["0", "2", "5", "6-3d-8-50", "7", "4-1-0"])
@pytest.mark.parametrize("value", [0, 1])
def test_labels_of_one_value(option, value):
    target = make_target(np.full((2, 20, 21), value, np.int32), option)
    assert np.isfinite(target).all()


def test_flows_point_to_the_middle():
    labels = np.zeros((1, 11, 13), np.int32)
    labels[0, 2:9, 3:10] = 4
    y, x = flows(labels)[:, 0]
    assert (y[2:5, 6] > 0).all()
    assert (y[6:9, 6] < 0).all()
    assert (x[5, 3:6] > 0).all()
    assert (y[labels[0] == 0] == 0).all()
