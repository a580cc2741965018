"""Checkpoints of narrow networks of the published depth, and what Keras computes from them."""

import importlib.util
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from lsd_experiments import frameworks
from lsd_experiments.checkpoints import require_checkpoint, save_checkpoint
from lsd_experiments.networks import Head, Input, Network

frameworks.import_keras()

ROOT = Path(__file__).parents[2]
ZEBRAFINCH, FIB25 = ((1, 3, 3), (1, 3, 3), (3, 3, 3)), ((2, 2, 2), (2, 2, 2), (3, 3, 3))
AFFS, LSDS = Head("affs", 3), Head("lsds", 10)
NETWORKS = {
    "baseline": Network(2, 2, ZEBRAFINCH, (AFFS,)),
    "mtlsd": Network(2, 2, FIB25, (Head("lsds", 10, "embedding"), AFFS), num_fmaps_out=5),
    "aclsd": Network(2, 2, FIB25, (AFFS,), inputs=(Input("lsds", 10),)),
    "acrlsd": Network(2, 2, ZEBRAFINCH, (AFFS,), inputs=(Input("raw"), Input("lsds", 10))),
    "xpress": Network(2, 2, ((2, 2, 2),) * 3, (Head("affs", 12, predicted=3),), architecture="funlib"),
    "small": Network(2, 2, ((1, 2, 3), (2, 2, 1)), (LSDS, AFFS), num_fmaps_out=3),  # no two axes alike
}


def random_model(network, input_shape=None):
    """With random weights, biases included, that keep the activations' scale, so that no mistake cancels."""
    model = network.build(input_shape or network.smallest_input_shape)
    random = np.random.default_rng(1)
    weights = []
    for weight in model.get_weights():
        scale = np.sqrt(3 / np.prod(weight.shape[:4])) if weight.ndim == 5 else 0.2
        weights.append(random.normal(0, scale, weight.shape))
    model.set_weights(weights)
    return model


def random_inputs(network, shape, n=1):
    """By name, [n, c, z, y, x]: raw in [-1, 1], LSDs in [0, 1]."""
    random = np.random.default_rng(2)
    return {
        source.name: random.uniform(-1.0 if source.name == "raw" else 0.0, 1.0, (n, source.channels, *shape)).astype(np.float32)
        for source in network.inputs
    }


def predict(model, inputs):
    """What Keras computes, by head, [n, c, z, y, x]."""
    import keras

    found = model({name: np.moveaxis(array, 1, -1) for name, array in inputs.items()})
    return {name: np.moveaxis(keras.ops.convert_to_numpy(array), -1, 1) for name, array in found.items()}


@pytest.fixture(scope="session")
def checkpoint_of(tmp_path_factory):
    """By the name of a network: its checkpoint, of iteration 7, in a setup directory of its own."""

    @cache
    def save(name):
        setup = tmp_path_factory.mktemp("zebrafinch") / name
        setup.mkdir()
        save_checkpoint(random_model(NETWORKS[name]), setup, NETWORKS[name], 7, {"voxel_size": [20, 9, 9]})
        return require_checkpoint(setup)

    return save


@pytest.fixture(scope="session")
def example():
    """The module docs/examples/unet_torch.py."""
    spec = importlib.util.spec_from_file_location("unet_torch", ROOT / "docs/examples/unet_torch.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def assert_equal(found, expected, atol):
    """The same heads with the same values, which are no constant."""
    assert set(found) == set(expected)
    for name, values in expected.items():
        assert values.std() > 0.01
        np.testing.assert_allclose(found[name], values, rtol=0, atol=atol)
