"""Training on the LSDs of a frozen network.

    raw   (28, 52, 48)  the context of both networks
    LSDs  (16, 36, 32)  as large as the trained network's input
    affs  ( 4, 20, 16)
"""

from dataclasses import replace

import numpy as np
import pytest

from lsd_experiments import checkpoints, networks
from lsd_experiments.checkpoints import find_checkpoint
from lsd_experiments.errors import UserError
from lsd_experiments.networks import Head, Input, Network
from lsd_experiments.prediction.autocontext import find_lsd_network, lsds_record, raw_shape
from lsd_experiments.prediction.loading import sha256
from lsd_experiments.training import FirstNetwork
from lsd_experiments.training.curve import read_curve

from .test_validation import PART, in_world

LSD = Network(3, 2, ((1, 2, 2),), (Head("lsds", 10, "embedding"),))
ACLSD = Network(3, 2, ((1, 2, 2),), (Head("affs", 3),), inputs=(Input("lsds", 10),))
ACRLSD = replace(ACLSD, inputs=(Input("raw"), Input("lsds", 10)))
RAW_SHAPE = (28, 52, 48)


@pytest.fixture
def second(experiment):
    """The experiment of the network that takes LSDs."""
    lsds, affs = experiment.targets
    return replace(experiment, targets=(affs,), first_network=FirstNetwork("../lsd", lsds))


@pytest.fixture
def lsd_setup(tmp_path):
    """The directory of a trained LSD network, with random weights."""
    import keras

    directory = tmp_path / "lsd"
    directory.mkdir()
    keras.utils.set_random_seed(1)
    model = LSD.build(LSD.smallest_input_shape)
    model.set_weights([weights * (2 if weights.ndim > 1 else 1) for weights in model.get_weights()])
    networks.write(LSD, "config", LSD.smallest_input_shape, directory)
    checkpoints.save_checkpoint(model, directory, LSD, 5, {"voxel_size": (20, 9, 9), "seed": 1})
    return directory


@pytest.fixture
def lsds(lsd_setup):
    return find_lsd_network(lsd_setup.parent / "aclsd", None, None, None)


def test_raw_has_the_context_of_both():
    published = Network(12, 5, ((1, 3, 3), (1, 3, 3), (3, 3, 3)), (Head("lsds", 10),))
    assert raw_shape(published, (84, 268, 268)) == (120, 484, 484)
    isotropic = replace(published, fmap_inc_factor=6, downsample_factors=((2, 2, 2), (2, 2, 2), (3, 3, 3)))
    assert raw_shape(isotropic, (196, 196, 196)) == (304, 304, 304)
    assert raw_shape(LSD, (16, 36, 32)) == RAW_SHAPE


@pytest.mark.parametrize("network", [ACLSD, ACRLSD], ids=["aclsd", "acrlsd"])
def test_the_network_gets_the_quantized_lsds_of_its_raw(network, lsds, second, make_run, monkeypatch):
    """And acrlsd the raw in the middle of what they were made of."""
    seen = {}

    def step(self, inputs, targets, knowledge):
        seen.update(inputs)
        return {"loss": 0.0}

    from lsd_experiments.training.trainable import TrainableModel

    monkeypatch.setattr(TrainableModel, "step", step)
    run, train = make_run(network=network, experiment=second, first=lsds, iterations=1)
    batches = []
    run.log.images = lambda iteration, arrays: batches.append(arrays)
    assert train() == 0
    (batch,) = batches
    raw, made = batch["volumes/raw"], batch["volumes/pretrained_lsd"]
    assert (raw.shape, made.shape) == (RAW_SHAPE, (10, 16, 36, 32))
    model = lsds.model(RAW_SHAPE, "float32")
    (z, y, x) = (slice((r - c) // 2, (r + c) // 2) for r, c in zip(RAW_SHAPE, (16, 36, 32), strict=True))
    predicted = model.predict({"raw": raw * 2 - 1})["lsds"]
    assert predicted.shape == made.shape
    assert predicted.std() > 0.005
    assert np.abs(predicted - made).max() <= 1.01 / 255
    np.testing.assert_allclose(made * 255, np.round(made * 255), atol=1e-4)
    np.testing.assert_array_equal(seen["lsds"][0], made)
    if network is ACRLSD:
        np.testing.assert_allclose(seen["raw"][0, 0], raw[z, y, x] * 2 - 1, atol=1e-6)
    else:
        assert set(seen) == {"lsds"}


@pytest.mark.parametrize("network", [ACLSD, ACRLSD], ids=["aclsd", "acrlsd"])
def test_it_trains_the_second_network_alone(network, lsds, second, make_run):
    before = sha256(lsds.checkpoint.path)
    run, train = make_run(network=network, experiment=second, first=lsds, num_workers=1, batch_size=2)
    assert train() == 0
    assert sha256(lsds.checkpoint.path) == before
    saved = find_checkpoint(run.directory)
    assert (saved.iteration, saved.network) == (2, network)
    assert saved.record["lsds"] == {"setup": str(lsds.setup), "iteration": 5, "sha256": before}


def test_another_lsd_network_than_that_of_the_start_is_refused(lsds, lsd_setup):
    directory = lsd_setup.parent / "aclsd"
    record = lsds_record(lsds)
    assert find_lsd_network(directory, None, None, record).checkpoint.iteration == 5
    model = LSD.build(LSD.smallest_input_shape)
    checkpoints.save_checkpoint(model, lsd_setup, LSD, 6, {"voxel_size": (20, 9, 9)})
    assert find_lsd_network(directory, None, None, record).checkpoint.iteration == 5  # though there is a newer one
    assert find_lsd_network(directory, None, None, None).checkpoint.iteration == 6
    with pytest.raises(UserError, match="is not the checkpoint that aclsd was trained with, which was of iteration 5"):
        find_lsd_network(directory, None, 6, record)


def test_a_missing_or_unfit_lsd_network(lsd_setup, tmp_path):
    with pytest.raises(UserError, match=r"aclsd needs the network that makes its LSDs, .*nowhere: no such directory"):
        find_lsd_network(tmp_path / "aclsd", tmp_path / "nowhere", None, None)
    with pytest.raises(UserError, match=r"of --lsds-setup: .*no checkpoint of iteration 9 \(found: 5\)"):
        find_lsd_network(tmp_path / "aclsd", None, 9, None)
    other = replace(LSD, heads=(Head("affs", 3),))
    networks.write(other, "config", other.smallest_input_shape, lsd_setup)
    checkpoints.save_checkpoint(other.build(other.smallest_input_shape), lsd_setup, other, 7, {})
    with pytest.raises(UserError, match="makes affs, not LSDs from raw"):
        find_lsd_network(tmp_path / "aclsd", lsd_setup, None, None)


def test_validation_takes_the_same_lsds(lsds, second, make_run, dataset, tmp_path):
    """By the one model of the first network."""
    part = in_world(PART)
    keeping = dataset.model_copy(update={"directory": tmp_path, "volumes": ("volume.zarr",), "validation": (part,)})
    run, train = make_run(dataset=keeping, network=ACRLSD, experiment=second, first=lsds, iterations=1, validate_every=1)
    made = []
    build = type(lsds).model
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(lsds), "model", lambda self, *how: made.append(how) or build(self, *how))
        assert train() == 0
    assert len(made) == 1
    (row,) = read_curve(run.directory)
    assert 0 < row["loss"] == row["affs_loss"] < 1
