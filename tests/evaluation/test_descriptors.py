"""The agreement of descriptors with the truth's: NumPy's own correlation, on disk for any blocks, and the command."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from lsd_experiments.arrays import create_volume, open_volume
from lsd_experiments.descriptors import local_shape_descriptors
from lsd_experiments.descriptors.agreement import AgreementSums
from lsd_experiments.errors import UserError
from lsd_experiments.evaluation import descriptors
from lsd_experiments.evaluation.descriptors import evaluate_descriptors, learned, rows_of
from lsd_experiments.geometry import Box
from tests.places.listing import command_of

ROOT = Path(__file__).resolve().parents[2]
VOXEL, OFFSET = (40.0, 9.0, 8.0), (400.0, 900.0, 1800.0)
SHAPE, BEGIN, END = (12, 26, 30), (2, 6, 4), (11, 25, 27)  # of the labels; of the prediction, in their voxels
SIGMA = 36.0


@pytest.fixture(scope="module")
def labels():
    """Slanted, so that coordinates correlate in them."""
    z, y, x = np.indices(SHAPE)
    y, x = y + z, x + y // 2 + 2 * z
    ids = (z // 5) * 100 + (y // 9) * 10 + x // 11 + 1
    return np.where((y % 9 == 8) | (x % 11 == 10), 0, ids).astype(np.uint64)


@pytest.fixture(scope="module")
def truth(labels):
    return local_shape_descriptors(labels, SIGMA, VOXEL, 1)[:, *Box(BEGIN, END).slices]


@pytest.fixture
def place(labels, truth, tmp_path):
    """Labels, a mask that is smaller, and a prediction of which channel 1 is noise, and channel 2 one value."""
    predicted = truth * 0.5 + 0.2
    predicted[1] = np.random.default_rng(2).random(predicted.shape[1:])
    predicted[2] = 0.4
    mask = np.ones((8, 20, 20), np.uint8)
    mask[:, :9] = 0
    predicted = predicted.astype(np.float32)
    for name, values, begin in (("lsds", predicted, BEGIN), ("labels", labels, (0, 0, 0)), ("mask", mask, (3, 5, 6))):
        at = tuple(o + b * v for o, b, v in zip(OFFSET, begin, VOXEL, strict=True))
        channels = 10 if name == "lsds" else None
        made = create_volume(tmp_path / "data.zarr", name, values.shape[-3:], VOXEL, at, values.dtype, channels=channels)
        made.write(made.box, values)
    return tmp_path / "data.zarr"


def volumes(place, *names):
    return [open_volume(place, name) for name in names]


def expected_of(labels, truth, predicted, counted):
    inside = (labels[Box(BEGIN, END).slices] > 0) & counted
    return [(np.corrcoef(p[inside], t[inside])[0, 1], ((p - t)[inside] ** 2).mean(), t[inside].var(), inside.sum())
            for p, t in zip(predicted, truth, strict=True)]


@pytest.mark.parametrize("block", [(64, 128, 128), (4, 6, 5)])
def test_as_numpy_has_it_whatever_the_blocks(place, labels, truth, block, monkeypatch):
    monkeypatch.setattr(descriptors, "BLOCK", block)
    lsds, ids, mask = volumes(place, "lsds", "labels", "mask")
    counted = np.zeros(labels.shape, bool)
    counted[3:11, 14:25, 6:26] = 1
    counted = counted[Box(BEGIN, END).slices]
    found = evaluate_descriptors(lsds, ids, SIGMA, mask, 1)
    with np.errstate(invalid="ignore"):
        expected = expected_of(labels, truth, lsds.read(), counted)
    for channel, (one, (correlation, error, constant, number)) in enumerate(zip(found, expected, strict=True)):
        assert one.correlation == (None if channel == 2 else pytest.approx(correlation, abs=1e-5))
        assert (one.error, one.error_of_constant) == pytest.approx((error, constant), abs=1e-6)
        assert one.voxels == number
    assert found[0].correlation == pytest.approx(1, abs=1e-4)
    assert abs(found[1].correlation) < 0.2
    assert learned(one.correlation for one in found) == 8
    everywhere = evaluate_descriptors(lsds, ids, SIGMA, None, 1)
    assert everywhere[0].voxels > found[0].voxels, "the mask matters"


def test_a_constant_has_the_error_of_a_constant_and_nothing_no_agreement(truth):
    sums = AgreementSums()
    assert (list(sums.channels()), sums.columns("")) == ([], {})
    everywhere = np.ones(truth.shape[1:], bool)
    sums.add(np.broadcast_to(truth.mean((1, 2, 3), keepdims=True), truth.shape), truth, everywhere)
    for one in sums.channels():
        assert one.correlation is None
        assert one.error == pytest.approx(one.error_of_constant, abs=1e-9)
    assert set(sums.columns("lsds_")) == {"lsds_error", "lsds_error_of_constant"}


def run(*arguments):
    command, parser = command_of(ROOT / "03_predict/evaluate_lsds.py")
    return command(parser.parse_args([str(argument) for argument in arguments]))


def test_the_command(place, tmp_path, capsys):
    roi = ("--roi-offset", 400 + 40 * 4, 900 + 9 * 14, 1800 + 8 * 9, "--roi-shape", 40 * 4, 9 * 8, 8 * 10)
    arguments = (place, "lsds", place, "labels", "--sigma", SIGMA, "--downsample", 1)
    run(*arguments, *roi, "--mask-dataset", "mask", "--out", tmp_path / "lsds.json")
    printed = capsys.readouterr().out.splitlines()
    assert (len(printed), printed[3].split()[:2]) == (12, ["offset_x", "-"])
    written = json.loads((tmp_path / "lsds.json").read_text())
    part = evaluate_descriptors(*volumes(place, "lsds", "labels"), SIGMA, volumes(place, "mask")[0], 1,
                                Box((4, 14, 9), (8, 22, 19)))
    assert written["descriptors"] == rows_of(part)
    assert written["provenance"]["parameters"]["sigma"] == SIGMA


def test_what_does_not_fit_is_refused(place, tmp_path):
    with pytest.raises(UserError, match="labels: has no channels, where descriptors have 10"):
        run(place, "labels", place, "labels", "--sigma", 30)
    with pytest.raises(UserError, match=r"Let its name end in \.json"):
        run(place, "lsds", place, "labels", "--sigma", 30, "--out", tmp_path / "x.csv")
    with pytest.raises(UserError, match=r"sigma 1e\+06 nm: is more than .*labels is long, 480 nm"):
        run(place, "lsds", place, "labels", "--sigma", 1e6)
    with pytest.raises(UserError, match="downsample 65: is more than the 64 sections of a block"):
        run(place, "lsds", place, "labels", "--sigma", SIGMA, "--downsample", 65)
    for attrs, message in (({"provenance": {"stage": "predict"}}, "begun is not finished. Run predict first"),
                           ({"alignment": "91c0f2a44d1be730, a.zarr of b.zarr"}, "begun")):
        begun = create_volume(tmp_path / "data.zarr", "begun", SHAPE, VOXEL, OFFSET, np.uint8, channels=10, attrs=attrs)
        with pytest.raises(UserError, match=message):
            evaluate_descriptors(begun, *volumes(place, "labels"), SIGMA)
        shutil.rmtree(tmp_path / "data.zarr" / "begun")
    with pytest.raises(UserError, match=r"the region \(1, 6, 4\) to \(9, 9, 9\) .* is not covered by .*lsds"):
        evaluate_descriptors(*volumes(place, "lsds", "labels"), SIGMA, box=Box((1, 6, 4), (9, 9, 9)))
    empty = create_volume(tmp_path / "data.zarr", "empty", SHAPE, VOXEL, OFFSET, np.uint64)
    with pytest.raises(UserError, match=r"empty: no voxel that .*lsds covers counts"):
        evaluate_descriptors(volumes(place, "lsds")[0], empty, SIGMA)
    negative = create_volume(tmp_path / "data.zarr", "negative", SHAPE, VOXEL, OFFSET, np.int64)
    negative.write(negative.box, np.full(SHAPE, -1))
    with pytest.raises(UserError, match="negative: holds the id -1"):
        evaluate_descriptors(volumes(place, "lsds")[0], negative, SIGMA)
