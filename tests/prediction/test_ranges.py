"""Prediction scales raw as training did; what it made of uint8 before is up to date."""

import dataclasses

import numpy as np
import pytest

from lsd_experiments import checkpoints, networks
from lsd_experiments.arrays import create_volume
from lsd_experiments.errors import UserError
from lsd_experiments.intensity import NOTE
from lsd_experiments.pipeline.configuration import load_pipeline
from lsd_experiments.prediction.blockwise import predict_scan, prediction_stage
from lsd_experiments.prediction.plan import make_plan
from lsd_experiments.prediction.settings import PredictionSettings
from tests.prediction.conftest import INPUT_SHAPE, NETWORK, OFFSET, VOXEL_SIZE

SHAPE = (4, 9, 12)
GREY = np.random.default_rng(0).integers(0, 256, SHAPE)
GREY[0, 0, :2] = 0, 255


@pytest.fixture
def raw(tmp_path):
    def make(values, name="raw"):
        volume = create_volume(tmp_path / f"{name}.zarr", "volumes/raw", values.shape, VOXEL_SIZE, OFFSET, values.dtype)
        volume.write(volume.box, values)
        return tmp_path / f"{name}.zarr"
    return make


@pytest.fixture
def plan_of(tmp_path, model):
    """A plan with a checkpoint that notes ``ranges``."""
    def make(raw_file, ranges, out="out.zarr", **settings):
        directory = tmp_path / "02_train" / "fib25" / "noted"
        directory.mkdir(parents=True, exist_ok=True)
        networks.write(NETWORK, "config", INPUT_SHAPE, directory)
        note = {} if ranges is None else {NOTE: {"setting": None, "ranges": ranges, "held": ranges}}
        checkpoints.save_checkpoint(model, directory, NETWORK, 7, {"voxel_size": VOXEL_SIZE, **note})
        return make_plan(PredictionSettings(str(directory), str(raw_file), str(tmp_path / out), **settings))
    return make


@pytest.mark.parametrize(("values", "ranges", "settings"), [
    ((GREY * 16).astype(np.uint16), {"uint16": [0, 4080]}, {}),
    ((GREY * 16 - 2000).astype(np.int16), {"int16": [-2000, 2080]}, {}),
    ((GREY * 10 - 5).astype(np.float64), {"float": [-5, 2545]}, {}),
    ((GREY * 16).astype(np.uint32), {"uint8": [0, 255]}, {}),
    ((GREY * 16).astype(np.uint16), None, {"raw_range": (0, 4080)}),
    ((GREY * 16).astype(np.uint16), {"uint16": [0, 65535]}, {"raw_range": ("0%", "100%")}),
    ((GREY * 3 - 9).astype(np.float32), None, {}),
], ids=["uint16", "int16", "float64", "another type", "as asked", "percentiles", "no note"])
def test_raw_is_scaled_as_in_training(values, ranges, settings, raw, plan_of, expected, read, tmp_path):
    """Outside of raw, 0 is what the network gets, wherever the range begins."""
    predict_scan(plan_of(raw(values), ranges, **settings))
    wanted, given = expected(GREY.astype(np.uint8)), read(tmp_path / "out.zarr")
    for name in wanted:
        assert np.abs(given[name].astype(int) - wanted[name]).max() <= 1  # up to rounding


def test_the_range_counts(raw, plan_of, expected, read, tmp_path):
    """Negative control."""
    predict_scan(plan_of(raw((GREY * 16).astype(np.uint16)), {"uint16": [0, 65535]}))
    wanted = expected(GREY.astype(np.uint8))["affs"].astype(int)
    assert np.abs(read(tmp_path / "out.zarr")["affs"] - wanted).max() > 10


def test_other_raw_than_the_trainings_is_said_in_one_line(raw, plan_of, caplog):
    predict_scan(plan_of(raw(GREY.astype(np.uint16)), {"uint16": [0, 4080]}))
    (said,) = caplog.messages
    assert "holds 0 to 255" in said
    assert "trained on 0 to 4080" in said
    caplog.clear()
    predict_scan(plan_of(raw((GREY * 16).astype(np.uint16), "same"), {"uint16": [0, 4080]}, "same_out.zarr"))
    assert not caplog.messages
    predict_scan(plan_of(raw((GREY * 16).astype(np.int32), "other"), {"uint16": [0, 4080]}, "other_out.zarr"))
    (said,) = caplog.messages
    assert "int32 is scaled from 0 to 4080, which it holds" in said
    assert "was trained on uint16" in said


@pytest.mark.parametrize("values", [GREY.astype(np.uint8), (GREY * 257).astype(np.uint16), (GREY / 255).astype(np.float32)])
def test_what_was_predicted_before_is_up_to_date(raw, plan_of, values):
    """Of a checkpoint without a note, and where the setting says the same: the provenance knows no range."""
    plan = plan_of(raw(values), None)
    assert "raw_range" not in plan.provenance()["parameters"]
    assert predict_scan(plan)
    same = plan_of(plan.settings.raw_file, None, raw_range="type")
    assert prediction_stage(same).state().kind == "done"
    assert not predict_scan(same)
    other = plan_of(plan.settings.raw_file, None, raw_range=(0, 77))
    assert prediction_stage(other).state().kind == "stale"
    assert "raw_range" in prediction_stage(other).state().reason
    with pytest.raises(UserError, match="raw_range"):
        predict_scan(other)


def test_workers_get_the_range_in_numbers(raw, plan_of):
    plan = plan_of(raw((GREY * 16).astype(np.int16)), None, raw_range=("1%", "99%"))
    low, high = plan.settings.raw_range
    assert 0 < low < 100 < 3900 < high < 4080
    again = make_plan(PredictionSettings.from_json(dataclasses.asdict(plan.settings)))
    assert again.raw.low_high == plan.raw.low_high
    assert again.provenance()["key"] == plan.provenance()["key"]


def test_the_pipelines_configuration_may_say_it(tmp_path):
    path = tmp_path / "config.toml"
    text = 'out_file = "out.zarr"\n[fragments]\nfragments_in_xy = true\n[predict]\nraw_range = {}\n'
    for given, found in (("[0, 4095]", (0, 4095)), ('["1%", "99%"]', ("1%", "99%")), ('"type"', "type")):
        path.write_text(text.format(given))
        assert load_pipeline(path).predict.raw_range == found
    for given in ("[5, 1]", '"tpye"', "7", '["1%", 3]'):
        path.write_text(text.format(given))
        with pytest.raises(UserError, match=r"'predict\.raw_range': .*is neither 'type'"):
            load_pipeline(path)
