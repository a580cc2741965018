"""Losses, regularisers and their sum, against the published program's."""

import json

import numpy as np
import pytest

from lsd_experiments.errors import UserError
from lsd_experiments.families.pytc.targets import REVISIONS
from tests.families.pytc.test_targets import FOLDER, MODELS
from tests.published import PUBLISHED, needs_published

torch = pytest.importorskip("torch")

from lsd_experiments.families.pytc import losses  # noqa: E402 (it imports PyTorch)
from lsd_experiments.families.pytc.criterion import Criterion, criterion_of  # noqa: E402

SNEMI = ([["WeightedBCEWithLogitsLoss", "DiceLoss"]], [[1.0, 0.5]], [["none", "sigmoid"]])
CREMI = ([["WeightedBCEWithLogitsLoss"]], [[1.0]], [["none"]])
DISTANCE = ([["WeightedBCEWithLogitsLoss", "DiceLoss"], ["WeightedMSE"]], [[1.0, 1.0], [5.0]], [["none", "sigmoid"], ["tanh"]])
REGULARISED = {"regularisers": ["FgDT"], "regularised": [[0, 1]], "regulariser_weights": [0.5]}


def tensors():
    with np.load(FOLDER / "loss_tensors.npz") as file:
        given = {name: torch.from_numpy(file[name]) for name in file}
    return given["pred"], given["target01"].float(), given["target_tanh"], given["weight"], given["class_target"].long()


def computed():
    """All losses on the published tensors, by the keys there."""
    pred, target, signed, weight, classes = tensors()
    p, t = torch.sigmoid(pred), torch.tanh(pred)
    first, second = pred[:, :1], pred[:, 1:2]
    snemi = Criterion(["2"], *SNEMI)
    cremi = Criterion(["0", "6"], [["WeightedBCEWithLogitsLoss", "DiceLoss"], ["WeightedMSE"]], [[1.0, 1.0], [5.0]],
                      [["none", "sigmoid"], ["tanh"]], **REGULARISED)
    return {
        "WeightedBCEWithLogitsLoss/weighted": losses.bce_with_logits(pred, target, weight),
        "WeightedBCEWithLogitsLoss/none": losses.bce_with_logits(pred, target),
        "WeightedBCEWithLogitsLoss/eps=0.05/weighted": losses.bce_with_logits(pred, target, weight, eps=0.05),
        "WeightedBCE/sigmoid/weighted": losses.bce(p, target, weight),
        "WeightedBCE/sigmoid/none": losses.bce(p, target),
        "DiceLoss/sigmoid": losses.dice(p, target),
        "DiceLoss/sigmoid/weight_is_ignored": losses.dice(p, target, weight),
        "DiceLoss/sigmoid/reduce=False": losses.dice(p, target, reduce=False),
        "DiceLoss/sigmoid/smooth=1,power=2": losses.dice(p, target, smooth=1, power=2),
        "WeightedMSE/tanh/weighted": losses.squared_error(t, signed, weight),
        "WeightedMSE/tanh/none": losses.squared_error(t, signed),
        "WeightedMAE/tanh/weighted": losses.absolute_error(t, signed, weight),
        "WeightedBCEFocalLoss/weighted": losses.focal(pred, target, weight),
        "WeightedBCEFocalLoss/none": losses.focal(pred, target),
        "WSDiceLoss/sigmoid": losses.weighted_soft_dice(p, target),
        "WeightedCE/none": losses.cross_entropy(pred, classes),
        "WeightedCE/class_weight=1,2,.5": losses.cross_entropy(pred, classes, class_weight=[1, 2, 0.5]),
        "WeightedCE/weighted": losses.cross_entropy(pred, classes, weight[:, 0]),
        "Regu/Binary": losses.binary(first),
        "Regu/FgDT": losses.foreground_and_distance(first, second),
        "Regu/ContourDT": losses.contour_and_distance(first, second),
        "Regu/FgContour": losses.foreground_and_contour(first, second),
        "Criterion/SNEMI(BCElogits*1+Dice*.5)": snemi(pred, [target], [[weight, None]])[0],
        "Criterion/SNEMI/no_weight": snemi(pred, [target], [[torch.zeros(2, 1), torch.zeros(2, 1)]])[0],
        "Criterion/CREMI-DT-Regu (channels 0,1)": cremi(pred[:, :2], [target[:, :1], signed[:, :1]],
                                                        [[weight[:, :1], None], [None]])[0],
    }


@needs_published
@pytest.mark.parametrize("revision", REVISIONS)
def test_published_losses(revision):
    published = json.loads((FOLDER / f"losses_{revision}.json").read_text())
    refused = {name for name, value in published.items() if isinstance(value, str)}
    assert refused == {"DiceLoss/batch_size_mismatch", "WeightedMAE/tanh/none"}
    ours = computed()
    assert ours.keys() == published.keys() - refused
    for name, value in ours.items():
        assert float(value) == pytest.approx(published[name], rel=1e-6), name


@needs_published
@pytest.mark.parametrize("model", MODELS)
def test_published_losses_of_training_steps(model):
    options, _ = MODELS[model]
    lists = DISTANCE if "_dt_" in model else CREMI if model.startswith("cremi") else [rows * len(options) for rows in SNEMI]
    published = json.loads((PUBLISHED / "pytc_models" / f"{model}.json").read_text())
    with np.load(PUBLISHED / "pytc_models" / f"{model}.npz") as file:
        arrays = {name: torch.from_numpy(file[name]) for name in file if name.startswith("train_") and "raw" not in name}
    targets = [arrays[f"train_target{index}"].float() for index in range(len(options))]
    weights = [[arrays[f"train_weight{index}_{number}"] for number in range(len(row))] for index, row in enumerate(lists[0])]
    loss, parts = Criterion(options, *lists)(arrays["train_out"], targets, weights)
    assert float(loss) == pytest.approx(published["loss"], rel=1e-4)
    assert {name: float(part) for name, part in parts.items()} == pytest.approx(published["loss_parts"], rel=1e-4)


@needs_published
def test_the_criterion_of_a_configuration():
    merges = json.loads((PUBLISHED / "pytc_inference" / "config_merges.json").read_text())
    tree = merges["published CREMI/CREMI-Base.yaml + CREMI/CREMI-Foreground-DT-UNet.yaml"]["config"]
    assert criterion_of(tree) == Criterion(["0", "6-2d-4-50"], *DISTANCE)
    tree["MODEL"] |= {"LOSS_KWARGS_KEY": [[["eps"], None], [None]], "LOSS_KWARGS_VAL": [[[0.05], None], [None]]}
    tree["MODEL"] |= {"REGU_OPT": ["FgDT"], "REGU_TARGET": [[0, 1]], "REGU_WEIGHT": [0.5]}
    assert criterion_of(tree) == Criterion(["0", "6-2d-4-50"], *DISTANCE, [[{"eps": 0.05}, {}], [{}]], **REGULARISED)
    tree["MODEL"] |= {"LOSS_KWARGS_VAL": [[[0.05, 1], None], [None]]}
    with pytest.raises(UserError, match=r"MODEL\.LOSS_KWARGS_KEY"):
        criterion_of(tree)
    tree["MODEL"] |= {"LOSS_KWARGS_KEY": [[["epsilon"], None], [None]], "LOSS_KWARGS_VAL": [[[0.05], None], [None]]}
    with pytest.raises(UserError, match=r"WeightedBCEWithLogitsLoss takes no 'epsilon'"):
        criterion_of(tree)


def test_single_sections_have_two_affinities():
    flat = Criterion(["2"], *SNEMI, flat=True)
    prediction = torch.randn(2, 2, 9, 9)
    assert flat(prediction, [torch.ones(2, 2, 9, 9)], [[None, None]])[0].shape == ()
    with pytest.raises(UserError, match=r"MODEL\.OUT_PLANES"):
        Criterion(["2"], *SNEMI)(prediction, [torch.ones(2, 2, 9, 9)], [[None, None]])


def test_shapes_that_differ_have_no_dice():
    with pytest.raises(ValueError, match=r"must be|has a target of shape"):
        losses.dice(torch.zeros(2, 2, 4, 7, 6), torch.zeros(2, 3, 4, 7, 6))


def test_mean_absolute_error_without_weights_is_that_of_equal_ones():
    pred, target = torch.rand(2, 3, 2, 4, 4), torch.rand(2, 3, 2, 4, 4)
    without = losses.absolute_error(pred, target)
    assert float(without) == pytest.approx(float(losses.absolute_error(pred, target, torch.ones(2, 1, 2, 4, 4))))
    assert float(without) != pytest.approx(float(losses.absolute_error(pred, target, 2 * torch.ones(2, 1, 2, 4, 4))))


def test_regularisers_have_a_gradient_to_both_outputs():
    for name, (regulariser, count) in losses.REGULARISERS.items():
        outputs = [torch.randn(1, 1, 2, 5, 5, requires_grad=True) for _ in range(count)]
        regulariser(*outputs).backward()
        assert all(output.grad.abs().sum() > 0 for output in outputs), name
        assert regulariser(*outputs, mask=torch.zeros(1, 1, 2, 5, 5)).item() == 0


@pytest.mark.parametrize(("given", "message"), [
    ((["2"], [["DiceLos"]], [[1.0]], [["sigmoid"]]), "MODEL.LOSS_OPTION: unknown 'DiceLos'; did you mean 'DiceLoss'"),
    ((["2"], [["DiceLoss"]], [[1.0, 2.0]], [["sigmoid"]]), "MODEL.LOSS_WEIGHT"),
    ((["2"], [["DiceLoss"]], [[1.0]], [["sigmoids"]]), "MODEL.OUTPUT_ACT: unknown 'sigmoids'"),
    ((["2", "0"], [["DiceLoss"]], [[1.0]], [["sigmoid"]]), "MODEL.LOSS_OPTION: has 1 lists for 2 targets"),
])
def test_what_names_no_criterion(given, message):
    with pytest.raises(UserError, match=message):
        Criterion(*given)


def test_regularisers_that_look_nowhere():
    with pytest.raises(UserError, match=r"FgDT looks at 2 of the 1 targets"):
        Criterion(["2"], [["DiceLoss"]], [[1.0]], [["sigmoid"]], **REGULARISED)


def test_channels_must_be_those_of_the_targets():
    with pytest.raises(UserError, match=r"MODEL\.OUT_PLANES: 2 channels"):
        Criterion(["2"], *SNEMI)(torch.zeros(1, 2, 2, 4, 4), [torch.zeros(1, 3, 2, 4, 4)], [[None, None]])
