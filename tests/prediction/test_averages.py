"""A checkpoint with averages of weights predicts with them; provenance says so, and the plain weights can be asked for."""

import numpy as np
import pytest

from lsd_experiments import checkpoints
from lsd_experiments.checkpoints.average import named_weights
from lsd_experiments.prediction.blockwise import predict_scan
from lsd_experiments.prediction.loading import find_trained

from .conftest import ITERATION, NETWORK

WITH = ITERATION + 1  # has averages


@pytest.fixture(scope="module")
def averaged(setup, model):
    """The averages, in a second checkpoint of the setup: those of the first, with signs changed."""
    averages = {name: -np.asarray(values) for name, values in named_weights(model).items()}
    record = {"voxel_size": (50, 9, 4.6), "average": {"decay": 0.9, "steps": 3}}
    path = checkpoints.save_checkpoint(model, setup, NETWORK, WITH, record, averages=averages)
    yield averages
    path.unlink()
    (setup / checkpoints.POINTER).unlink()


def test_averages_predict(averaged, setup, model, plan, make_raw, read):
    raw = make_raw((3, 8, 10))
    plain, own = (plan(raw, iteration=WITH, plain_weights=choice) for choice in (True, False))
    before = plan(raw, iteration=ITERATION)
    assert own.provenance()["parameters"]["averaged_weights"] is True
    for other in (plain, before):
        assert "averaged_weights" not in other.provenance()["parameters"]
    found = []
    for one in (plain, own):
        predict_scan(one, overwrite=True)
        found.append(read(one.settings.out_file))
    assert not np.array_equal(found[0]["affs"], found[1]["affs"])
    predict_scan(before, overwrite=True)
    assert np.array_equal(found[0]["affs"], read(before.settings.out_file)["affs"]), "the weights are the same"
    network = find_trained(setup, WITH).model(before.input_shape, "float32")
    for name, variable in named_weights(network.model).items():
        np.testing.assert_array_equal(np.asarray(variable), averaged[name])
