"""Convolutions with fewer multiplications: against the sum over all taps, and in a network, against the plain layers."""

import keras
import numpy as np
import pytest

from lsd_experiments import checkpoints
from lsd_experiments.networks import Head, Network
from lsd_experiments.winograd import convolution
from lsd_experiments.winograd import layer as winograd


def by_definition(inputs, kernel, bias):
    inputs, kernel = inputs.astype(float), kernel.astype(float)
    shape = [size - 2 for size in inputs.shape[:3]]
    sums = sum(
        inputs[z : z + shape[0], y : y + shape[1], x : x + shape[2]] @ kernel[z, y, x]
        for z in range(3) for y in range(3) for x in range(3)
    )
    return np.maximum(sums + bias, 0)


def draw(shape, channels_in, channels_out):
    random = np.random.default_rng(0)
    inputs = random.normal(size=(*shape, channels_in)).astype(np.float32)
    kernel = random.normal(0, (2 / 27 / channels_in) ** 0.5, (3, 3, 3, channels_in, channels_out)).astype(np.float32)
    return inputs, kernel, random.normal(0, 0.3, channels_out).astype(np.float32)


# even and odd sizes along each axis, one tile and one voxel, and more rows of tiles than one job has
@pytest.mark.parametrize("shape", [(4, 4, 4), (3, 3, 3), (5, 4, 6), (4, 7, 4), (6, 6, 5), (8, 30, 34)])
@pytest.mark.parametrize(("channels_in", "channels_out"), [(1, 1), (40, 33), (150, 160)])
def test_it_is_the_sum_over_all_taps(shape, channels_in, channels_out):
    inputs, kernel, bias = draw(shape, channels_in, channels_out)
    expected = by_definition(inputs, kernel, bias)
    found = convolution.convolve(inputs, kernel, bias)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=2e-5)
    if expected.size < 10:
        return
    assert 0.1 < (expected == 0).mean() < 0.9
    for axis in range(3):  # and of no flipped kernel
        flipped = np.ascontiguousarray(np.flip(kernel, axis))
        assert np.abs(convolution.convolve(inputs, flipped, bias) - expected).max() > 0.01


def test_the_number_of_threads_changes_nothing(monkeypatch):
    inputs, kernel, bias = draw((8, 30, 34), 40, 33)
    results = []
    for number in (1, 3):
        monkeypatch.setattr(convolution, "threads", lambda number=number: number)
        results.append(convolution.convolve(inputs, kernel, bias))
    np.testing.assert_array_equal(*results)


def test_a_large_kernel_is_transformed_in_parts(monkeypatch):
    inputs, kernel, bias = draw((8, 30, 34), 40, 33)
    whole, seen, transformed = convolution.convolve(inputs, kernel, bias), [], convolution._transformed
    monkeypatch.setattr(convolution, "ROOM", 10 * 64 * 4 * 40)
    monkeypatch.setattr(convolution, "_transformed", lambda part, pool: seen.append(part.shape[4]) or transformed(part, pool))
    np.testing.assert_allclose(convolution.convolve(inputs, kernel, bias), whole, atol=1e-5)
    assert seen == [10, 10, 10, 3]


def test_other_products_keep_their_threads():
    from threadpoolctl import threadpool_info

    before = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
    convolution.convolve(*draw((4, 4, 4), 2, 2))
    assert [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"] == before


@pytest.fixture(params=["mala", "funlib"])
def network(request):
    heads = (Head("lsds", 10), Head("affs", 3))
    return Network(8, 5, ((1, 2, 2), (2, 2, 2)), heads, num_fmaps_out=9, architecture=request.param)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the layer is for TensorFlow")
@pytest.mark.parametrize("batch_size", [1, 2])
def test_a_network_with_them_gives_what_one_without_gives(network, batch_size, monkeypatch):
    monkeypatch.setattr(winograd, "LARGE", 1)
    shape = network.smallest_input_shape
    plain, fast = network.build(shape), network.build(shape, quick=True)
    found = {layer.name for layer in fast.layers if isinstance(layer, winograd.WinogradConv3D)}
    assert found == {"unet_layer_1_left_1", "unet_layer_1_right_0", "unet_layer_1_right_1", "unet_layer_2_left_0",
                     "unet_layer_2_left_1"}
    assert not any(isinstance(layer, winograd.WinogradConv3D) for layer in plain.layers)
    assert [layer.name for layer in fast.layers] == [layer.name for layer in plain.layers]
    random = np.random.default_rng(1)
    # as wide as trained ones, so that activations neither vanish nor saturate
    weights = [random.normal(0, (2.0 / w[..., 0].size) ** 0.5 if w.ndim > 1 else 0.1, w.shape) for w in plain.get_weights()]
    plain.set_weights(weights)
    fast.set_weights(weights)
    raw = {"raw": random.uniform(-1, 1, (batch_size, *shape, 1)).astype(np.float32)}
    expected, outputs = plain.predict_on_batch(raw), fast.predict_on_batch(raw)
    for name, values in expected.items():
        assert values.std() > 0.05
        np.testing.assert_allclose(outputs[name], values, atol=2e-5)
    fast.get_layer("unet_layer_2_left_1").bias.assign_add(np.full(200, 0.1))
    assert np.abs(fast.predict_on_batch(raw)["affs"] - expected["affs"]).max() > 1e-4


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the layer is for TensorFlow")
def test_it_loads_what_a_plain_network_was_saved_as(network, tmp_path, monkeypatch):
    monkeypatch.setattr(winograd, "LARGE", 1)
    shape = network.smallest_input_shape
    plain, fast = network.build(shape), network.build(shape, quick=True)
    path = checkpoints.save_checkpoint(plain, tmp_path, network, 1, {"voxel_size": (8, 8, 8), "seed": 0})
    checkpoints.load_checkpoint(fast, path)
    for before, after in zip(plain.get_weights(), fast.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize(("precision", "large"), [("bfloat16", 1), ("float32", 10**6)])
def test_other_precisions_and_small_inputs_take_the_plain_layers(precision, large, network, monkeypatch):
    monkeypatch.setattr(winograd, "LARGE", large)
    model = network.build(network.smallest_input_shape, precision, quick=True)
    assert not any(isinstance(layer, winograd.WinogradConv3D) for layer in model.layers)


@pytest.mark.parametrize("shape", [(4, 4, 4), (5, 6, 7), (8, 30, 34)])
@pytest.mark.parametrize(("channels_in", "channels_out"), [(1, 1), (40, 33)])
def test_gradients_are_those_of_the_plain_convolution(shape, channels_in, channels_out):
    tf = pytest.importorskip("tensorflow")
    inputs, kernel, _ = draw(shape, channels_in, channels_out)
    gradient = np.random.default_rng(3).normal(size=(*[s - 2 for s in shape], channels_out)).astype(np.float32)
    with tf.GradientTape() as tape:
        x, w = tf.Variable(inputs[None]), tf.Variable(kernel)
        loss = tf.reduce_sum(tf.nn.conv3d(x, w, [1] * 5, "VALID") * gradient)
    by_inputs, by_kernel = (values.numpy() for values in tape.gradient(loss, (x, w)))
    np.testing.assert_allclose(convolution.input_gradient(gradient, kernel), by_inputs[0], atol=1e-5 * by_inputs.std() + 1e-5)
    found = convolution.kernel_gradient(inputs, gradient)
    np.testing.assert_allclose(found, by_kernel, atol=2e-5 * by_kernel.std() + 1e-5)
    assert np.abs(np.flip(found, 2) - by_kernel).max() > 0.01  # and of no flipped kernel


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the layer is for TensorFlow")
@pytest.mark.parametrize("batch_size", [1, 2])
def test_training_with_them_is_training_without_them(network, batch_size, monkeypatch):
    monkeypatch.setattr(winograd, "LARGE", 1)
    shape = network.smallest_input_shape
    random = np.random.default_rng(1)
    raw = {"raw": random.uniform(-1, 1, (batch_size, *shape, 1)).astype(np.float32)}
    goals = {head.name: random.random((batch_size, *network.output_shape(shape), head.channels), np.float32)
             for head in network.heads}
    keras.utils.set_random_seed(0)
    plain, fast = network.build(shape), network.build(shape, quick=True)
    fast.set_weights(plain.get_weights())
    begin = plain.get_weights()
    for model in (plain, fast):
        model.compile(keras.optimizers.SGD(5.0), loss=dict.fromkeys(goals, "mse"), jit_compile=False)
        for _ in range(2):
            model.train_on_batch(raw, goals)
    for before, expected, found in zip(begin, plain.get_weights(), fast.get_weights(), strict=True):
        moved = np.abs(expected - before).max()
        assert moved > 0
        np.testing.assert_allclose(found, expected, atol=0.01 * moved)
