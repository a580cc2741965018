"""Raw of all types trains alike: its range is noted in the checkpoint, and taken from there."""

import itertools
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import gunpowder as gp
import numpy as np
import pytest

from lsd_experiments import checkpoints
from lsd_experiments.errors import UserError
from lsd_experiments.intensity import NOTE
from lsd_experiments.networks import Head, Network
from lsd_experiments.prediction.autocontext import find_lsd_network
from lsd_experiments.training.data import open_sample
from lsd_experiments.training.keys import RAW
from lsd_experiments.training.padding import label_padding
from lsd_experiments.training.pipeline import batch_pipeline, batch_request
from lsd_experiments.training.places import find_places
from lsd_experiments.training.ranges import scaled_samples

GREY = np.random.default_rng(0).integers(0, 256, (40, 90, 80))
GREY[0, 0, :2] = 0, 255


@pytest.fixture
def samples(write_volume, tmp_path, dataset):
    calls = itertools.count()

    def make(*raws):
        directory = tmp_path / str(next(calls))
        return [open_sample(dataset, write_volume(directory / f"{n}.zarr", raw)) for n, raw in enumerate(raws)]
    return make


@pytest.fixture
def batch_raw(experiment, dataset, network, input_shape):
    """Raw of the first batch of a seed."""
    def make(*found):
        output = network.output_shape(input_shape)
        padding = label_padding(experiment, dataset.voxel_size, output)
        places = [find_places(sample, output, padding, experiment.min_masked) for sample in found]
        pipeline = batch_pipeline(experiment, dataset, list(zip(found, places, strict=True)), 1)
        request = batch_request(experiment, dataset, input_shape, output)
        request._random_seed = 5
        with gp.build(pipeline):
            return pipeline.request_batch(request)[RAW].data
    return make


@pytest.mark.parametrize(("dtype", "low", "step"), [
    ("uint16", 0, 16), ("uint16", 500, 8), ("int16", -2040, 16), ("uint32", 2**20, 1000), ("int8", -128, 1), ("float32", -3, 0.5),
    ("float64", 0, 1 / 255), ("float16", 0, 1),
])
def test_what_the_data_hold_is_0_to_1(samples, batch_raw, dtype, low, step):
    """The network gets of all of them what it gets of uint8."""
    found, note, said = scaled_samples(samples((GREY * step + low).astype(dtype)), None, None, None)
    kind = "float" if dtype.startswith("float") else dtype
    assert note["ranges"][kind] == note["held"][kind] == pytest.approx((low, low + 255 * step))
    assert said.startswith(f"raw becomes [0, 1]: {kind} from {low:g} to ")
    assert "--raw-range" in said
    expected, _, _ = scaled_samples(samples(GREY.astype(np.uint8)), None, None, None)
    np.testing.assert_allclose(batch_raw(*found), batch_raw(*expected), atol=2e-3 if dtype == "float16" else 2e-5)


def test_by_the_types_range_a_12_bit_camera_is_dark(samples, batch_raw):
    """Negative control: what came before."""
    found, note, _ = scaled_samples(samples((GREY * 16).astype(np.uint16)), "type", None, None)
    assert note["ranges"] == {"uint16": (0, 65535)}
    assert batch_raw(*found).max() < -0.5
    scaled, note, said = scaled_samples(found, (0, 4080), None, None)
    assert "0 to 4080, as --raw-range says" in said
    assert batch_raw(*scaled).max() > 0.5


def test_what_the_dataset_says_holds_where_nobody_says_another(samples):
    raw, usual = samples((GREY * 16).astype(np.uint16)), (0, 8160)
    (sample,), _, said = scaled_samples(raw, None, None, None, usual)
    assert (sample.raw_range, "0 to 8160, as dataset.toml says" in said) == (usual, True)
    before = SimpleNamespace(record={NOTE: {"ranges": {"uint16": [0, 4095]}}}, path=Path("before"))
    for asked, checkpoint, expected in (("type", None, (0, 65535)), (None, before, (0, 4095))):
        (sample,), _, said = scaled_samples(raw, asked, checkpoint, None, usual)
        assert (sample.raw_range, "dataset.toml" in said) == (expected, False)


def test_uint8_goes_by_its_type_without_a_word(samples):
    found, note, said = scaled_samples(samples((GREY // 4).astype(np.uint8)), None, None, None)
    assert (found[0].raw_range, note["ranges"], note["held"], said) == ((0, 255), {"uint8": (0, 255)}, {"uint8": (0, 63)}, None)


def test_volumes_of_a_type_share_a_range(samples, caplog):
    found, note, said = scaled_samples(
        samples((GREY * 16).astype(np.uint16), GREY.astype(np.uint16), GREY.astype(np.uint8)), None, None, None)
    assert [sample.raw_range for sample in found] == [(0, 4080), (0, 4080), (0, 255)]
    assert said.count("\n") == 0
    assert "what 2 volumes hold" in said
    (warned,) = caplog.messages
    assert "1.zarr:volumes/raw holds 0 to 255, all volumes of its type 0 to 4080" in warned
    assert note["held"] == {"uint16": (0, 4080), "uint8": (0, 255)}


def test_raw_of_one_value(samples):
    (flat,) = samples(np.full((40, 90, 80), 9, np.int16))
    with pytest.raises(UserError, match=r"volumes/raw: all .* is 9: raw of one value"):
        scaled_samples([flat], None, None, None)
    assert scaled_samples([flat], (0, 20), None, None)[1]["ranges"] == {"int16": (0, 20)}


def test_a_checkpoint_keeps_its_range(samples, make_run, tmp_path):
    """Also where other data come to it; one of before has none, and goes by the type."""
    raw = (GREY * 16).astype(np.uint16)
    _, note, _ = scaled_samples(samples(raw), None, None, None)
    run, train = make_run(iterations=1)
    run.raw_range = note
    assert train() == 0
    checkpoint = checkpoints.find_checkpoint(run.directory)
    assert checkpoint.record[NOTE] == {"setting": None, "ranges": {"uint16": [0, 4080]}, "held": {"uint16": [0, 4080]}}
    (again,), _, said = scaled_samples(samples(raw // 2), None, checkpoint, None)
    assert again.raw_range == (0, 4080)
    assert f"0 to 4080, as {checkpoint.path.name} was trained" in said
    record = {key: value for key, value in checkpoint.record.items() if key != NOTE}
    (before,), _, said = scaled_samples(samples(raw), None, replace(checkpoint, record=record), None)
    assert before.raw_range == (0, 65535)
    assert "goes by the type" in said
    (signed,), _, _ = scaled_samples(samples((GREY - 9).astype(np.int16)), None, replace(checkpoint, record=record), None)
    assert signed.raw_range == (-9, 246)  # no version before could


def test_a_network_that_takes_lsds_gets_raw_as_theirs(samples, tmp_path):
    lsd = Network(1, 1, ((1, 2, 2),), (Head("lsds", 10, "embedding"),))
    from lsd_experiments import networks

    directory = tmp_path / "lsd"
    directory.mkdir()
    networks.write(lsd, "config", lsd.smallest_input_shape, directory)
    note = {"setting": None, "ranges": {"uint16": [0, 4095]}, "held": {"uint16": [1, 4095]}}
    checkpoints.save_checkpoint(lsd.build(lsd.smallest_input_shape), directory, lsd, 5, {"voxel_size": (20, 9, 9), NOTE: note})
    lsds = find_lsd_network(tmp_path / "aclsd", directory, None, None)
    found = samples((GREY * 8).astype(np.uint16))
    assert scaled_samples(found, None, None, lsds)[0][0].raw_range == (0, 4095)
    assert scaled_samples(found, (0, 4095), None, lsds)[0][0].raw_range == (0, 4095)
    with pytest.raises(UserError, match=r"makes the LSDs, was trained on uint16 from 0 to 4095. Leave --raw-range out"):
        scaled_samples(found, "type", None, lsds)
