"""The step: loss and Adam against TensorFlow 1's, written out in NumPy."""

import numpy as np
import pytest

from lsd_experiments import frameworks
from lsd_experiments.networks import Head, Input, Network
from lsd_experiments.targets import Affinities, SquaredError
from lsd_experiments.training import Adam
from lsd_experiments.training.options import TrainingOptions

frameworks.import_keras()
from lsd_experiments.training.trainable import TrainableModel  # noqa: E402

NETWORK = Network(1, 2, ((1, 2, 2),), (Head("lsds", 10, "embedding"), Head("affs", 3)), num_fmaps_out=2)
ONE_HEAD = Network(1, 2, ((1, 2, 2),), (Head("affs", 3),))


def batch(network, seed, size=1):
    random = np.random.default_rng(seed)
    shape = network.smallest_input_shape
    out = network.output_shape(shape)
    inputs = {i.name: random.uniform(-1, 1, (size, i.channels, *shape)) for i in network.inputs}
    targets = {head.name: random.uniform(0, 1, (size, head.channels, *out)) for head in network.heads}
    weights = {name: values * (random.random(values.shape) < 0.6) for name, values in targets.items()}
    return inputs, targets, weights


def start(network, learning_rate=0.01, seed=1, precision="float32", checkpoint=None, average=None):
    options = TrainingOptions(iterations=1, learning_rate=learning_rate, precision=precision, average_weights=average)
    losses = {head.name: weighted_error("nonzero_weights") for head in network.heads}
    return TrainableModel.start(network, network.smallest_input_shape, options, Adam(), losses, seed, checkpoint)


def weighted_error(divisor):
    return SquaredError(divisor).in_keras(Affinities())


def loss(prediction, target, weights):
    """SUM_BY_NONZERO_WEIGHTS, as TensorFlow 1 documents it, of each sample; their mean."""
    return np.mean([(w * (p - t) ** 2).sum() / max(1, np.count_nonzero(w))
                    for p, t, w in zip(prediction, target, weights, strict=True)])


def last(array):
    return np.moveaxis(np.asarray(array), 1, -1).astype(np.float32)


def test_loss_equals_tensorflow_1s():
    tf = pytest.importorskip("tensorflow")
    _, targets, weights = batch(ONE_HEAD, 3)
    target, weight = last(targets["affs"]), last(weights["affs"])
    prediction = np.random.default_rng(4).uniform(0, 1, target.shape).astype(np.float32)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        theirs = session.run(tf.compat.v1.losses.mean_squared_error(target, prediction, weight))
    ours = float(weighted_error("nonzero_weights")(np.concatenate([target, weight], axis=-1), prediction))
    assert ours == pytest.approx(float(theirs), rel=1e-5)
    assert ours == pytest.approx(loss(prediction, target, weight), rel=1e-5)


@pytest.mark.parametrize("divisor", ["nonzero_weights", "sum_of_weights"])
def test_a_loss_that_looks_nowhere_is_zero(divisor):
    zeros = np.zeros((1, 2, 2, 2, 6), np.float32)
    assert float(weighted_error(divisor)(zeros, np.ones((1, 2, 2, 2, 3), np.float32))) == 0


def test_the_step_returns_the_losses_of_before_it_and_their_plain_sum():
    trainer = start(NETWORK)
    inputs, targets, weights = batch(NETWORK, 5)
    before = trainer.predict(inputs)
    logs = trainer.step(inputs, targets, weights)
    for name in ("lsds", "affs"):
        assert logs[f"{name}_loss"] == pytest.approx(loss(before[name], targets[name], weights[name]), rel=1e-4)
    assert logs["loss"] == pytest.approx(logs["lsds_loss"] + logs["affs_loss"], rel=1e-5)
    after = trainer.predict(inputs)
    assert sum(loss(after[n], targets[n], weights[n]) for n in after) < logs["loss"]


def test_logs_are_of_each_batch_alone():
    """Keras averages its logs over an epoch, unless told otherwise."""
    trainer = start(ONE_HEAD)
    for seed in (6, 7):
        inputs, targets, weights = batch(ONE_HEAD, seed)
        expected = loss(trainer.predict(inputs)["affs"], targets["affs"], weights["affs"])
        logs = trainer.step(inputs, targets, weights)
        assert logs["loss"] == pytest.approx(expected, rel=1e-4)
        assert logs["affs_loss"] == logs["loss"]


def test_the_loss_of_a_larger_batch_is_the_mean_of_its_samples():
    trainer = start(ONE_HEAD)
    inputs, targets, weights = batch(ONE_HEAD, 8, size=3)
    prediction = trainer.predict(inputs)["affs"]
    assert prediction.shape[:2] == (3, 3)
    assert trainer.step(inputs, targets, weights)["loss"] == pytest.approx(
        loss(prediction, targets["affs"], weights["affs"]), rel=1e-4
    )


def test_a_divisor_that_nobody_knows_is_refused():
    with pytest.raises(AssertionError, match="divisor is 'sum', none of"):
        weighted_error("sum")


def test_the_loss_by_the_sum_of_weights_is_theirs_that_average_with_them():
    random = np.random.default_rng(2)
    target, prediction, weight = random.random((3, 2, 4, 4, 4, 3), np.float32)
    weight *= random.random(weight.shape) < 0.5
    found = float(weighted_error("sum_of_weights")(np.concatenate([target, weight], axis=-1), prediction))
    expected = [np.average((p - t) ** 2, weights=w) for p, t, w in zip(prediction, target, weight, strict=True)]
    assert found == pytest.approx(np.mean(expected), rel=1e-5)
    assert abs(float(weighted_error("nonzero_weights")(np.concatenate([target, weight], axis=-1), prediction)) - found) > 1e-3


@pytest.mark.parametrize("divisor", ["nonzero_weights", "sum_of_weights"])
def test_gradient_is_the_derivative_of_the_loss(divisor):
    def loss(prediction, target, weights):
        truth = np.concatenate([target, weights], axis=1)
        return float(weighted_error(divisor)(np.moveaxis(truth, 1, -1), np.moveaxis(prediction, 1, -1)))

    random = np.random.default_rng(9)
    prediction, target = random.random((2, 3, 4, 4, 4)), random.random((2, 3, 4, 4, 4))
    weights = random.random(target.shape) * (random.random(target.shape) < 0.5)
    found = SquaredError(divisor).gradient(Affinities(), prediction, target, weights)
    for index in [(0, 0, 1, 2, 3), (1, 2, 0, 0, 0), (1, 1, 3, 3, 3)]:
        moved = prediction.copy()
        moved[index] += 1e-4
        numeric = (loss(moved, target, weights) - loss(prediction, target, weights)) / 1e-4
        assert found[index] == pytest.approx(numeric, rel=1e-2, abs=1e-6)


def test_adam_adds_epsilon_before_the_bias_correction():
    """TensorFlow 1's Adam ("epsilon hat"); with tiny gradients PyTorch's and Kingma's own form moves differently."""
    import keras

    trainer = start(ONE_HEAD, learning_rate=0.5e-4)
    adam = trainer.model.optimizer
    assert (adam.beta_1, adam.beta_2, adam.epsilon) == (0.95, 0.999, 1e-8)
    assert float(keras.ops.convert_to_numpy(adam.learning_rate)) == pytest.approx(0.5e-4)
    variable = keras.Variable(np.zeros(3, np.float32))
    adam = keras.optimizers.Adam(0.5e-4, beta_1=adam.beta_1, beta_2=adam.beta_2, epsilon=adam.epsilon)
    adam.build([variable])
    m = v = x = y = np.zeros(3)
    for t in range(1, 6):
        g = np.array([1e-8, -1e-6, 0.3]) * t
        adam.apply([keras.ops.convert_to_tensor(g.astype(np.float32))])
        m, v = 0.95 * m + 0.05 * g, 0.999 * v + 0.001 * g**2
        x = x - 0.5e-4 * np.sqrt(1 - 0.999**t) / (1 - 0.95**t) * m / (np.sqrt(v) + 1e-8)
        y = y - 0.5e-4 * m / (1 - 0.95**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    found = keras.ops.convert_to_numpy(variable)
    np.testing.assert_allclose(found, x, rtol=1e-3)
    assert abs(x[0] - y[0]) > 0.1 * abs(y[0])  # the other form is told apart


def test_the_seed_determines_the_weights():
    first, same, other = (start(NETWORK, seed=seed).model.get_weights() for seed in (3, 3, 4))
    for a, b in zip(first, same, strict=True):
        np.testing.assert_array_equal(a, b)
    assert any(not np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_a_start_from_a_checkpoint_goes_on_exactly(tmp_path):
    from lsd_experiments.checkpoints import find_checkpoint

    batches = [batch(NETWORK, seed) for seed in range(6)]
    straight = start(NETWORK)
    for number, arrays in enumerate(batches):
        straight.step(*arrays)
        if number == 2:
            straight.save(tmp_path, 3, {})
    resumed = start(NETWORK, seed=99, checkpoint=find_checkpoint(tmp_path))
    for arrays in batches[3:]:
        resumed.step(*arrays)
    for a, b in zip(straight.model.get_weights(), resumed.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_averages_of_weights(tmp_path):
    """Their definition in NumPy; in a checkpoint; as the weights of a model that predicts."""
    from lsd_experiments.checkpoints import find_checkpoint, load_checkpoint

    trainer, weights = start(ONE_HEAD, average=0.75), []
    for seed in range(4):
        trainer.step(*batch(ONE_HEAD, seed))
        weights.append(trainer.model.get_weights())
    shares = 0.75 ** np.arange(3, -1, -1)
    expected = [np.average(steps, axis=0, weights=shares) for steps in zip(*weights, strict=True)]
    for ours, numpys, plain in zip(trainer.average.arrays().values(), expected, weights[-1], strict=True):
        np.testing.assert_allclose(ours, numpys, atol=1e-6)
        assert not np.array_equal(ours, plain)
    path = trainer.save(tmp_path, 4, {})
    assert find_checkpoint(tmp_path).record["average"] == {"decay": 0.75, "steps": 4}
    model = ONE_HEAD.build(ONE_HEAD.smallest_input_shape)
    load_checkpoint(model, path)
    for loaded, ours in zip(model.get_weights(), trainer.average.arrays().values(), strict=True):
        np.testing.assert_array_equal(loaded, ours)
    load_checkpoint(model, path, plain=True)
    for loaded, plain in zip(model.get_weights(), weights[-1], strict=True):
        np.testing.assert_array_equal(loaded, plain)
    model.load_weights(path)  # Keras reads the file as it does one without averages
    assert np.array_equal(model.get_weights()[0], weights[-1][0])
    start(ONE_HEAD, checkpoint=find_checkpoint(tmp_path)).save(tmp_path, 5, {})
    assert not find_checkpoint(tmp_path).averaged, "nobody asked for them"


def test_another_learning_rate_holds_after_a_restart(tmp_path):
    import keras

    from lsd_experiments.checkpoints import find_checkpoint

    start(ONE_HEAD, learning_rate=0.01).save(tmp_path, 1, {})
    resumed = start(ONE_HEAD, learning_rate=0.002, checkpoint=find_checkpoint(tmp_path))
    assert float(keras.ops.convert_to_numpy(resumed.model.optimizer.learning_rate)) == pytest.approx(0.002)


def test_weights_that_are_no_numbers_are_noticed():
    trainer = start(ONE_HEAD)
    assert trainer.is_finite()
    weights = trainer.model.get_weights()
    weights[3][0] = np.inf
    trainer.model.set_weights(weights)
    assert not trainer.is_finite()


def test_two_inputs_and_bfloat16():
    network = Network(1, 2, ((1, 2, 2),), (Head("affs", 3),), inputs=(Input("raw"), Input("lsds", 10)))
    trainer = start(network, precision="bfloat16")
    logs = trainer.step(*batch(network, 10))
    assert np.isfinite(logs["loss"])
    assert trainer.is_finite()


def test_half_precision_goes_on_exactly_and_its_checkpoint_fits_all_precisions(tmp_path):
    from lsd_experiments.checkpoints import find_checkpoint

    pytest.importorskip("tensorflow")
    batches = [batch(ONE_HEAD, seed) for seed in range(4)]
    straight = start(ONE_HEAD, precision="float16")
    for number, arrays in enumerate(batches):
        straight.step(*arrays)
        if number == 1:
            straight.model.optimizer.dynamic_scale.assign(2**10)
            straight.save(tmp_path, 2, {})
    resumed = start(ONE_HEAD, precision="float16", seed=9, checkpoint=find_checkpoint(tmp_path))
    assert float(resumed.model.optimizer.dynamic_scale) == 2**10
    assert int(resumed.model.optimizer.step_counter) == 2
    for arrays in batches[2:]:
        resumed.step(*arrays)
    for a, b in zip(straight.model.get_weights(), resumed.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    single = start(ONE_HEAD, checkpoint=find_checkpoint(tmp_path))
    assert int(single.model.optimizer.iterations) == 2
    single.step(*batches[2])
