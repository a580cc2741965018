"""The published code's checkpoints: its predictions on every backend, and its optimizer's state, step by step."""

import numpy as np
import pytest

from lsd_experiments import frameworks
from lsd_experiments.checkpoints import load_checkpoint, read_checkpoint
from lsd_experiments.checkpoints.adam import steps_taken
from lsd_experiments.checkpoints.bundle import open_bundle
from lsd_experiments.errors import UserError
from lsd_experiments.networks import Head, Network
from tests.scripts import of_backend, run_script

frameworks.import_keras()

NAMES = ("fib25_baseline", "zebrafinch_mtlsd", "zebrafinch_aclsd")
PREDICT = """
import sys
import numpy as np
from lsd_experiments import frameworks
frameworks.import_keras()
from lsd_experiments.checkpoints import load_checkpoint, find_checkpoint
for directory in sys.argv[1:]:
    checkpoint = find_checkpoint(directory)
    network = checkpoint.network
    reference = np.load(directory + "/reference.npz", allow_pickle=False)
    values = reference["input"] / np.float32(255)
    name = network.inputs[0].name
    values = np.moveaxis(values, 0, -1) if name == "lsds" else values[..., None] * 2 - 1
    model = network.build(values.shape[:3])
    load_checkpoint(model, checkpoint.path)
    found = model.predict_on_batch({name: values[None].astype(np.float32)})
    for head in network.heads:
        expected = reference[head.published_name]
        output = np.moveaxis(np.asarray(found[head.name])[0], -1, 0)
        assert output.shape == expected.shape and expected.std() > 1e-4
        print(head.name, np.abs(output - expected).max())
"""


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_predictions_are_those_of_the_published_graph(published, backend):
    pytest.importorskip(backend)
    ran = run_script("-c", PREDICT, *(published(name) for name in NAMES), env=of_backend(backend), frameworks=True)
    assert ran.returncode == 0, ran.stderr
    lines = [line.split() for line in ran.stdout.splitlines()]
    assert [head for head, _ in lines] == ["affs", "lsds", "affs", "affs"]
    assert all(float(error) <= 1e-5 for _, error in lines), lines


def compiled(network, learning_rate=0.01):
    import keras

    model = network.build(network.smallest_input_shape)
    model.compile(keras.optimizers.Adam(learning_rate, beta_1=0.95, beta_2=0.999, epsilon=1e-8), loss="mse")
    return model


def moments(model):
    """m and v by <layer>/<weight>."""
    adam, found = model.optimizer, {}
    for at, variable in enumerate(model.trainable_variables):
        name = "/".join(variable.path.split("/")[-2:])
        found[name] = adam._momentums[at].numpy(), adam._velocities[at].numpy()
    return found


def values_of(path):
    """All values of a checkpoint, as TensorFlow reads them."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(path).removesuffix(".index"))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def gradients(model, inputs, target):
    import tensorflow as tf

    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((model(inputs)["affs"] - target) ** 2)
    return [gradient.numpy().astype(np.float64) for gradient in tape.gradient(loss, model.trainable_variables)]


def adam_step(variable, gradient, m, v, beta1_power, beta2_power, learning_rate=0.01):
    """TensorFlow 1's ApplyAdam, as its documentation has it."""
    m, v = 0.95 * m + 0.05 * gradient, 0.999 * v + 0.001 * gradient**2
    rate = learning_rate * np.sqrt(1 - beta2_power) / (1 - beta1_power)
    return variable - rate * m / (np.sqrt(v) + 1e-8)


@pytest.mark.parametrize("optimizer", ["Adam", "malis_optimizer"])
def test_the_next_step_is_that_of_the_optimizer_that_wrote_it(make, slot_names, optimizer):
    path = make("setup07", optimizers=("Adam", optimizer) if optimizer != "Adam" else ("Adam",), steps=7,
                fmaps=(2, 4), factors=((1, 2, 2),))  # fmt: skip
    network, values = read_checkpoint(path).network, values_of(path)
    model = compiled(network)
    load_checkpoint(model, path)
    assert int(model.optimizer.iterations.numpy()) == 7
    for name, (first, second) in moments(model).items():
        for found, slot in zip((first, second), slot_names("setup07", name, optimizer), strict=True):
            np.testing.assert_array_equal(found, values[slot], err_msg=slot)
    random = np.random.default_rng(1)
    inputs = random.uniform(-1, 1, (1, *network.smallest_input_shape, 1)).astype(np.float32)
    target = random.random((1, *network.output_shape(network.smallest_input_shape), 3)).astype(np.float32)
    by_name = gradients(model, {"raw": inputs}, target)
    model.train_on_batch({"raw": inputs}, {"affs": target})
    scope = "setup07/" if optimizer == "Adam" else ""
    powers = [values[f"{scope}{power}"].astype(np.float64) for power in ("beta1_power", "beta2_power")]
    for variable, gradient in zip(model.trainable_variables, by_name, strict=True):
        name = "/".join(variable.path.split("/")[-2:])
        before = values[f"setup07/{name}"]
        m, v = (values[slot] for slot in slot_names("setup07", name, optimizer))
        expected = adam_step(before, gradient, m, v, *powers)
        np.testing.assert_allclose(variable.numpy(), expected, rtol=1e-4, atol=1e-5, err_msg=name)
        fresh = adam_step(before, gradient, 0, 0, 0.95, 0.999)
        assert np.abs(expected - fresh).max() > 1e-3  # a lost state would show


def test_the_state_of_the_published_codes_own_files(published):
    path = published("fib25_baseline") / "train_net_checkpoint_400000.index"
    values = values_of(path)
    model = compiled(read_checkpoint(path).network)
    load_checkpoint(model, path)
    found = moments(model)
    assert len(found) == 36
    for name, (first, second) in found.items():
        np.testing.assert_array_equal(first, values[f"setup01/setup01/{name}/Adam"])
        np.testing.assert_array_equal(second, values[f"setup01/setup01/{name}/Adam_1"])
    assert sum(first.any() for first, _ in found.values()) > 30
    steps = int(model.optimizer.iterations.numpy())
    assert steps == 2
    assert 0.95 ** (steps + 1) == pytest.approx(float(values["setup01/beta1_power"]))
    assert 0.999 ** (steps + 1) == pytest.approx(float(values["setup01/beta2_power"]))


class Powers:
    """The powers of the betas after some steps, in float32, as TensorFlow multiplies them up."""

    def __init__(self, steps):
        self.powers = {"beta1_power": "beta1_power", "beta2_power": "beta2_power"}
        self.values = {}
        for name, beta in (("beta1_power", np.float32(0.95)), ("beta2_power", np.float32(0.999))):
            value = beta
            for _ in range(steps):
                value = np.float32(value * beta)
            self.values[name] = value

    def read(self, name):
        return self.values[name]


@pytest.mark.filterwarnings("ignore:underflow")
@pytest.mark.parametrize(("steps", "tolerance"), [(0, 0), (1, 0), (700, 0), (1300, 0), (2000, 1), (60_000, 60)])
def test_steps_are_counted_by_the_powers(steps, tolerance):
    state = Powers(steps)
    assert abs(steps_taken(state, state, iteration=-1) - steps) <= tolerance


def test_where_the_powers_are_0_the_iteration_counts(make):
    path = make(optimizers=("Adam",), steps=400_000)
    assert values_of(path)["setup01/beta2_power"] == 0
    model = compiled(read_checkpoint(path).network)
    load_checkpoint(model, path)
    assert int(model.optimizer.iterations.numpy()) == 400_000


@pytest.mark.parametrize("leave_out", [(), ("affs_0/bias/Adam_1",)])
def test_without_its_state_or_with_a_part_of_it_the_optimizer_starts_afresh_and_that_is_said(make, caplog, leave_out):
    path = make(optimizers=("Adam",) if leave_out else (), leave_out=leave_out, fmaps=(2, 4), factors=((1, 2, 2),))
    model = compiled(read_checkpoint(path).network)
    model.optimizer.build(model.trainable_variables)
    load_checkpoint(model, path)
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: has no state of the optimizer: Adam starts afresh"
    ]
    assert not any(array.any() for pair in moments(model).values() for array in pair)
    assert int(model.optimizer.iterations.numpy()) == 0


def test_a_model_that_is_not_trained_needs_no_state(make, caplog):
    path = make(fmaps=(2, 4), factors=((1, 2, 2),))
    network, values = read_checkpoint(path).network, values_of(path)
    model = network.build(network.smallest_input_shape)
    assert load_checkpoint(model, path).iteration == 400000
    for variable in model.trainable_variables:
        np.testing.assert_array_equal(variable.numpy(), values["setup01/" + "/".join(variable.path.split("/")[-2:])])
    assert not caplog.records


def test_a_head_fits_by_either_of_its_names(make):
    small = {"fmaps": (2, 4), "factors": ((1, 2, 2),)}
    for stored, published_name in (("lsds", "embedding"), ("embedding", None)):
        path = make(heads=((stored, 10),), **small)
        network = Network(2, 2, ((1, 2, 2),), (Head("lsds", 10, published_name),))
        model = network.build(network.smallest_input_shape)
        load_checkpoint(model, path)
        np.testing.assert_array_equal(model.layers[-1].kernel.numpy(), values_of(path)[f"setup01/{stored}_0/kernel"])


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Network(3, 2, ((1, 2, 2),), (Head("affs", 3),)),
         r"unet_layer_0_left_0: its kernel is \(3, 3, 3, 1, 2\), the network's is \(3, 3, 3, 1, 3\)"),
        (Network(2, 2, ((1, 3, 2),), (Head("affs", 3),)),
         r"unet_up_1_to_0: its kernel is \(1, 2, 2, 2, 4\), the network's is \(1, 3, 2, 2, 4\)"),
        (Network(2, 2, ((1, 2, 2),), (Head("affs", 12),)),
         r"affs_0: its kernel is \(1, 1, 1, 2, 3\), the network's is \(1, 1, 1, 2, 12\)"),
        (Network(2, 2, ((1, 2, 2),), (Head("lsds", 10),)), "lsds_0: its kernel is missing"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named_and_changes_nothing(make, network, message):
    path = make(fmaps=(2, 4), factors=((1, 2, 2),))
    model = network.build(network.smallest_input_shape)
    before = model.get_weights()
    with pytest.raises(UserError, match=rf"{path.name} \(scope setup01\): holds another architecture: layer {message}"):
        load_checkpoint(model, path)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_damaged_weights_are_not_loaded_in_silence(make):
    path = make(fmaps=(2, 4), factors=((1, 2, 2),))
    bundle = open_bundle(path)
    data = bytearray(bundle.data[0].read_bytes())
    data[data.index(bundle.read("setup01/unet_up_1_to_0/kernel").tobytes())] ^= 1
    bundle.data[0].write_bytes(data)
    network = read_checkpoint(path).network  # names and shapes are whole
    with pytest.raises(UserError, match="setup01/unet_up_1_to_0/kernel cannot be read: the files are damaged"):
        load_checkpoint(network.build(network.smallest_input_shape), path)


@pytest.mark.parametrize("named", ["prefix", "index", "data", "directory", "ours", "prefix of ours"])
def test_a_checkpoint_loads_by_its_prefix_or_a_file(make, tmp_path, named):
    """Prefixes are what TensorFlow calls a checkpoint, and what the file ``checkpoint`` names."""
    from lsd_experiments.checkpoints import save_checkpoint
    from lsd_experiments.prediction import load_checkpoint as promised

    index = make(fmaps=(2, 4), factors=((1, 2, 2),), directory=tmp_path / "there")
    network = read_checkpoint(index).network
    expected = network.build(network.smallest_input_shape)
    load_checkpoint(expected, index)
    ours = save_checkpoint(expected, tmp_path, network, 5, {})
    prefix = index.with_name("train_net_checkpoint_400000")
    path = {
        "prefix": prefix, "index": index, "data": prefix.with_name(f"{prefix.name}.data-00000-of-00001"),
        "directory": index.parent, "ours": ours, "prefix of ours": tmp_path / "train_net_checkpoint_5",
    }[named]  # fmt: skip
    model = network.build(network.smallest_input_shape)
    assert not np.array_equal(model.get_weights()[0], expected.get_weights()[0])
    assert promised(model, str(path)).iteration == (5 if "ours" in named else 400000)
    for found, weight in zip(model.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(found, weight)
    with pytest.raises(UserError, match=r"train_net_checkpoint_7: no such checkpoint\. Name a directory, an \.index or"):
        load_checkpoint(model, tmp_path / "train_net_checkpoint_7")
