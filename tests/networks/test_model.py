"""The Keras model: against the description, against the two U-Nets in NumPy, and across backends."""

import json

import numpy as np
import pytest

from lsd_experiments.checkpoints import load_checkpoint, save_checkpoint
from lsd_experiments.networks.layers import layers, parameters
from tests.scripts import of_backend, run_script

SCRIPT = """
import json, sys
import numpy as np
from lsd_experiments import frameworks
frameworks.import_keras()
import keras
from lsd_experiments.checkpoints import load_checkpoint, read_checkpoint
path, inputs, outputs = sys.argv[1:]
network = read_checkpoint(path).network
arrays = np.load(inputs)
model = network.build(network.smallest_input_shape)
load_checkpoint(model, path)
found = model.predict_on_batch({name: arrays[name] for name in arrays})
np.savez(outputs, **{name: np.asarray(value) for name, value in found.items()})
assert "tensorflow" not in sys.modules
print(keras.backend.backend())
"""


@pytest.fixture
def model(network):
    """With random weights, biases included, so that no mistake cancels."""
    model = network.build(network.smallest_input_shape)
    random = np.random.default_rng(1)
    model.set_weights([random.normal(0, 0.3, weight.shape) for weight in model.get_weights()])
    return model


@pytest.fixture
def inputs(network):
    random = np.random.default_rng(2)
    shape = network.smallest_input_shape
    return {i.name: random.uniform(-1, 1, (1, *shape, i.channels)).astype(np.float32) for i in network.inputs}


def test_the_model_has_the_layers_of_the_description(network, model):
    shape = network.smallest_input_shape
    assert model.count_params() == parameters(network)
    described = layers(network, shape)
    assert {layer.name for layer in described} == {layer.name for layer in model.layers if layer.weights}
    for layer in described:
        built = model.get_layer(layer.name)
        assert tuple(built.output.shape[1:]) == (*layer.output_shape, layer.channels_out)
        assert built.count_params() == layer.parameters
        assert tuple(built.kernel.shape[:3]) == layer.kernel


def test_fresh_weights_are_glorot_uniform_and_biases_zero(network):
    import keras

    keras.utils.set_random_seed(1)  # of 9 weights, all may be small
    model = network.build(network.smallest_input_shape)
    for layer in model.layers:
        if layer.weights:
            kernel, bias = layer.get_weights()
            ins, outs = kernel.shape[3:]
            limit = np.sqrt(6 / (np.prod(kernel.shape[:3]) * (ins + outs)))
            assert not bias.any()
            assert 0.5 * limit < np.abs(kernel).max() <= limit


def test_equals_the_unet_written_out(network, model, inputs, unet):
    weights = {layer.name: layer.get_weights() for layer in model.layers if layer.weights}
    expected = unet(network, weights, [np.moveaxis(inputs[i.name][0], -1, 0) for i in network.inputs])
    found = model.predict_on_batch(inputs)
    assert set(found) == {"lsds", "affs"}
    for name, output in found.items():
        assert expected[name].std() > 0.01
        np.testing.assert_allclose(np.moveaxis(output[0], -1, 0), expected[name], atol=1e-5)


def test_the_order_of_the_concatenation_matters(network, model, inputs, unet):
    """The negative control of the test above: the kernels' channels the other way round are another network."""
    weights = {layer.name: layer.get_weights() for layer in model.layers if layer.weights}
    kernel, bias = weights["unet_layer_0_right_0"]
    half = kernel.shape[3] // 2
    weights["unet_layer_0_right_0"] = [np.concatenate([kernel[..., half:, :], kernel[..., :half, :]], axis=3), bias]
    swapped = unet(network, weights, [np.moveaxis(inputs[i.name][0], -1, 0) for i in network.inputs])
    found = model.predict_on_batch(inputs)
    assert np.abs(np.moveaxis(found["affs"][0], -1, 0) - swapped["affs"]).max() > 1e-2


def test_a_larger_input_gives_the_same_where_the_pooling_grids_agree(network, model):
    """The output moves with the input, by multiples of the stride."""
    shape, stride = network.smallest_input_shape, network.stride
    larger = [size + step for size, step in zip(shape, stride, strict=True)]
    random = np.random.default_rng(3)
    inputs = {i.name: random.uniform(-1, 1, (1, *larger, i.channels)).astype(np.float32) for i in network.inputs}
    other = network.build(larger)
    other.set_weights(model.get_weights())
    moved = tuple(slice(step, None) for step in stride)
    part = model.predict_on_batch({name: array[:, *moved] for name, array in inputs.items()})["affs"]
    whole = other.predict_on_batch(inputs)["affs"]
    np.testing.assert_allclose(part, whole[:, *moved], atol=1e-5)


def test_bfloat16_is_close_and_keeps_float32_weights_and_outputs(network, inputs):
    model = network.build(network.smallest_input_shape)
    mixed = network.build(network.smallest_input_shape, precision="bfloat16")
    mixed.set_weights(model.get_weights())
    assert {str(weight.dtype) for weight in mixed.weights} == {"float32"}
    exact, rounded = model.predict_on_batch(inputs), mixed.predict_on_batch(inputs)
    for name in exact:
        assert rounded[name].dtype == np.float32
        np.testing.assert_allclose(rounded[name], exact[name], atol=0.02)
        assert np.abs(rounded[name] - exact[name]).max() > 1e-5  # it did compute in bfloat16


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_the_same_weights_give_the_same_output_on_other_backends(network, model, inputs, tmp_path, backend):
    pytest.importorskip(backend)
    path = save_checkpoint(model, tmp_path, network, 7, {})
    np.savez(tmp_path / "inputs.npz", **inputs)
    ran = run_script("-c", SCRIPT, path, tmp_path / "inputs.npz", tmp_path / "outputs.npz", env=of_backend(backend),
                     frameworks=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == [backend]
    expected = model.predict_on_batch(inputs)
    with np.load(tmp_path / "outputs.npz") as found:
        assert set(found) == set(expected)
        for name in expected:
            np.testing.assert_allclose(found[name], expected[name], atol=1e-4)


def test_a_checkpoint_of_another_input_shape_fits(network, model, tmp_path):
    """Weights do not depend on the input shape: trained at one, predicted at another."""
    path = save_checkpoint(model, tmp_path, network, 7, {"seed": 3})
    larger = network.build([size + step for size, step in zip(network.smallest_input_shape, network.stride, strict=True)])
    assert load_checkpoint(larger, path).iteration == 7
    for a, b in zip(model.get_weights(), larger.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert json.loads(json.dumps(dict(load_checkpoint(larger, path).record)))["seed"] == 3
