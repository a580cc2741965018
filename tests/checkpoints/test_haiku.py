"""The pickled checkpoints of the XPRESS baseline: written with the names of JAX, Haiku and optax by a process in which they are
stand-ins, read as data, and equal to what JAX computes of them."""

import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest

from lsd_experiments import frameworks, networks
from lsd_experiments.checkpoints import find_checkpoint, load_checkpoint
from lsd_experiments.errors import UserError
from lsd_experiments.families.xpress.haiku import haiku_names, read_haiku
from lsd_experiments.networks import Head, Network
from tests.scripts import run_script

NETWORK = Network(2, 2, ((2, 2, 2), (2, 2, 2)), (Head("affs", 4, predicted=3),), architecture="funlib")
COMMAND = "02_train/import_checkpoint.py"

# Of the modules that the published pickle names, as far as pickling goes.
WRITER = """
import collections, pickle, sys, types
import numpy as np
from tests.scripts import run_script

def module(name, **values):
    for end in range(1, name.count(".") + 2):
        made = sys.modules.setdefault(".".join(name.split(".")[:end]), types.ModuleType(name))
    for key, value in values.items():
        setattr(made, key, value)
        if isinstance(value, (type, types.FunctionType)):
            value.__module__, value.__qualname__, value.__name__ = name, key, key

def reconstruct_device_array(fun, args, arr_state, aval_state):
    raise AssertionError("called")

class DeviceArray:
    def __init__(self, value):
        self.value = value
    def __reduce__(self):
        return reconstruct_device_array, (*self.value.__reduce__(), {"weak_type": False, "named_shape": {}})

class FlatMap:
    def __init__(self, mapping):
        self._mapping = mapping
    def __reduce__(self):
        return FlatMap, (self._mapping,)

class DynamicLossScale:
    pass

ScaleByAdamState = collections.namedtuple("ScaleByAdamState", "count mu nu")
EmptyState = collections.namedtuple("EmptyState", "")
Params = collections.namedtuple("Params", "weight opt_state loss_scale")
module("jax._src.device_array", reconstruct_device_array=reconstruct_device_array)
module("haiku._src.data_structures", FlatMap=FlatMap)
module("jmp._src.loss_scale", DynamicLossScale=DynamicLossScale)
module("optax._src.transform", ScaleByAdamState=ScaleByAdamState)
module("optax._src.base", EmptyState=EmptyState)
module("mknet", Params=Params)

source, out, mapping = sys.argv[1:]
def tree(prefix):
    made = collections.defaultdict(dict)
    for key, value in arrays.items():
        if key.startswith(prefix):
            name, parameter = key[len(prefix):].rsplit("|", 1)
            made[name][parameter] = DeviceArray(value)
    return FlatMap(dict(made)) if mapping == "FlatMap" else dict(made)
with np.load(source) as arrays:
    arrays = dict(arrays)
scale = DynamicLossScale()
scale.loss_scale, scale.period = DeviceArray(np.float32(2.0**15) * np.ones(())), 1000
count = DeviceArray(np.asarray(320, np.int32))
params = Params(tree("w:"), (ScaleByAdamState(count, tree("m:"), tree("v:")), EmptyState()), scale)
with open(out, "wb") as file:
    pickle.dump(params, file)
"""


@pytest.fixture(scope="module")
def arrays():
    """By ``w:``, ``m:`` or ``v:``, the module's name, ``|`` and the parameter: in Haiku's layout, random."""
    from lsd_experiments.checkpoints.comparing import weight_shapes

    random, found = np.random.default_rng(3), {}
    names = haiku_names(NETWORK)
    for tree in "wmv":
        for key, shape in weight_shapes(NETWORK).items():
            layer, what = key.split("/")
            shape = (shape[0], 1, 1, 1) if what == "bias" else shape
            values = random.normal(0, 0.3, shape).astype(np.float32)
            found[f"{tree}:{names[layer]}|{'w' if what == 'kernel' else 'b'}"] = values**2 if tree == "v" else values
    return found


@pytest.fixture
def make_pickle(tmp_path):
    def make(arrays, mapping="FlatMap", name="model_checkpoint_320"):
        np.savez(tmp_path / "arrays.npz", **arrays)
        command = [sys.executable, "-c", WRITER, tmp_path / "arrays.npz", tmp_path / name, mapping]
        subprocess.run(command, check=True)
        return tmp_path / name

    return make


def of(arrays, tree, layer, parameter):
    return arrays[f"{tree}:{haiku_names(NETWORK)[layer]}|{parameter}"]


@pytest.mark.parametrize("mapping", ["FlatMap", "dict"])
def test_weights_and_moments_come_out_as_they_went_in(arrays, make_pickle, mapping):
    found = read_haiku(make_pickle(arrays, mapping), NETWORK)
    assert found.steps == 320
    for tree, values in (("w", found.weights), ("m", found.first), ("v", found.second)):
        np.testing.assert_array_equal(values["unet_layer_0_left_1/kernel"], of(arrays, tree, "unet_layer_0_left_1", "w"))
        np.testing.assert_array_equal(values["affs_0/bias"], of(arrays, tree, "affs_0", "b").ravel())
        up = of(arrays, tree, "unet_up_2_to_1", "w")
        np.testing.assert_array_equal(values["unet_up_2_to_1/kernel"], up[::-1, ::-1, ::-1])
        assert not np.array_equal(values["unet_up_2_to_1/kernel"], up)


def test_names_are_those_of_the_published_modules():
    names = haiku_names(Network(24, 3, ((2, 2, 2),) * 3, (Head("affs", 12),), architecture="funlib"))
    assert names["unet_layer_0_left_0"] == "my_model/~/u_net/~/conv_pass/~/conv3_d"
    assert names["unet_layer_3_left_1"] == "my_model/~/u_net/~/conv_pass_3/~/conv3_d_1"
    assert names["unet_layer_0_right_0"] == "my_model/~/u_net/~/conv_pass_4/~/conv3_d"
    assert names["unet_layer_2_right_1"] == "my_model/~/u_net/~/conv_pass_6/~/conv3_d_1"
    assert names["unet_up_1_to_0"] == "my_model/~/u_net/~/upsample/~/conv3_d_transpose"
    assert names["unet_up_3_to_2"] == "my_model/~/u_net/~/upsample_2/~/conv3_d_transpose"
    assert names["affs_0"] == "my_model/~/conv_pass/~/conv3_d"


def jax_unet(arrays, raw):
    """The published forward pass by JAX's own operations, as Haiku calls them: channels first."""
    import jax
    from jax import lax

    def parameter(layer, name):
        return of(arrays, "w", layer, name)

    def convolve(x, layer, activation):
        numbers = lax.conv_dimension_numbers(x.shape, parameter(layer, "w").shape, ("NCDHW", "DHWIO", "NCDHW"))
        out = lax.conv_general_dilated(x, parameter(layer, "w"), (1, 1, 1), "VALID", dimension_numbers=numbers)
        return activation(out + parameter(layer, "b"))

    def conv_pass(x, name):
        return convolve(convolve(x, f"{name}_0", jax.nn.relu6), f"{name}_1", jax.nn.relu6)

    def crop(x, shape):
        begin = [(a - b) // 2 for a, b in zip(x.shape[2:], shape, strict=True)]
        return x[:, :, *(slice(b, b + s) for b, s in zip(begin, shape, strict=True))]

    def level(x, number):
        left = conv_pass(x, f"unet_layer_{number}_left")
        if number == NETWORK.levels - 1:
            return left
        pooled = lax.reduce_window(left, -np.inf, lax.max, (1, 1, 2, 2, 2), (1, 1, 2, 2, 2), "VALID")
        below, layer = level(pooled, number + 1), f"unet_up_{number + 1}_to_{number}"
        numbers = lax.ConvDimensionNumbers((0, 1, 2, 3, 4), (3, 4, 0, 1, 2), (0, 1, 2, 3, 4))  # (D, H, W, out, in)
        up = lax.conv_transpose(below, parameter(layer, "w"), (2, 2, 2), "SAME", dimension_numbers=numbers)
        up += parameter(layer, "b")
        factor = 2 ** (NETWORK.levels - 1 - number)
        up = crop(up, [(size - 4) // factor * factor + 4 for size in up.shape[2:]])
        return conv_pass(jax.numpy.concatenate((crop(left, up.shape[2:]), up), axis=1), f"unet_layer_{number}_right")

    return np.asarray(convolve(level(raw, 0), "affs_0", jax.nn.sigmoid))


def test_the_command_imports_what_gives_the_published_networks_output(arrays, make_pickle, tmp_path, monkeypatch):
    pytest.importorskip("jax")
    setup = tmp_path / "xpress" / "baseline"
    setup.mkdir(parents=True)
    shutil.copy("02_train/xpress/dataset.toml", setup.parent)
    networks.write(NETWORK, "train_net", NETWORK.smallest_input_shape, setup)
    pickled = make_pickle(arrays)
    ran = run_script(COMMAND, setup, pickled)
    assert (ran.returncode, ran.stdout.strip()) == (0, str(setup / "train_net_checkpoint_320.weights.h5")), ran.stderr
    checkpoint = find_checkpoint(setup)
    assert (checkpoint.iteration, checkpoint.network) == (320, NETWORK)
    frameworks.import_keras()
    import keras

    shape = NETWORK.smallest_input_shape
    model = NETWORK.build(shape)
    model.compile(keras.optimizers.Adam())
    model.optimizer.build(model.trainable_variables)
    load_checkpoint(model, checkpoint.path)
    assert int(model.optimizer.iterations) == 320
    raw = np.random.default_rng(1).uniform(-1, 1, (1, *shape, 1)).astype(np.float32)
    found = np.moveaxis(model.predict_on_batch({"raw": raw})["affs"], -1, 1)
    expected = jax_unet(arrays, np.moveaxis(raw, -1, 1))
    assert expected.std() > 0.01
    np.testing.assert_allclose(found, expected, atol=1e-5)
    again = run_script(COMMAND, setup, pickled)
    assert again.returncode == 2
    assert "is there already" in again.stderr


def test_other_pickles_are_refused_in_one_line(arrays, make_pickle, tmp_path):
    other = Network(3, 2, NETWORK.downsample_factors, NETWORK.heads, architecture="funlib")
    with pytest.raises(UserError, match=r"conv3_d/w is of shape \(3, 3, 3, 1, 2\), mknet.py's network asks for"):
        read_haiku(make_pickle(arrays), other)
    few = {key: value for key, value in arrays.items() if "upsample_1" not in key}
    with pytest.raises(UserError, match="has no my_model/~/u_net/~/upsample_1/~/conv3_d_transpose/w"):
        read_haiku(make_pickle(few), NETWORK)
    more = arrays | {f"{tree}:my_model/~/conv_pass_1/~/conv3_d|w": np.zeros((1, 1, 1, 3, 3), np.float32) for tree in "wmv"}
    with pytest.raises(UserError, match=r"has my_model/~/conv_pass_1/~/conv3_d/w, which mknet\.py's network has not"):
        read_haiku(make_pickle(more), NETWORK)
    path = tmp_path / "other"
    for content, reason in refused(arrays):
        path.write_bytes(content)
        with pytest.raises(UserError, match=reason) as error:
            read_haiku(path, NETWORK)
        assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="no such file"):
        read_haiku(tmp_path / "nothing", NETWORK)


def refused(arrays):
    """Pickles that are none of the baseline's, and why."""
    trees = [{}, {}, {}]
    for key, values in arrays.items():
        name, parameter = key[2:].split("|")
        trees["wmv".index(key[0])].setdefault(name, {})[parameter] = values
    itself = {}
    itself["_mapping"] = itself
    names = {name: dict.fromkeys(parameters, "text") for name, parameters in trees[0].items()}
    infinite = {name: {key: values * np.inf for key, values in parameters.items()} for name, parameters in trees[0].items()}
    flat = {name: {key: values.ravel() if "upsample" in name else values for key, values in parameters.items()}
            for name, parameters in trees[0].items()}
    deep = ()
    for _ in range(900):
        deep = (deep, 0, 0, 0)

    def pickled(weights=trees[0], count=320, adam=None):
        return pickle.dumps((weights, adam or ((count, *trees[1:]), ()), None))

    ours = "is no checkpoint of the XPRESS baseline"
    yield b"", ours
    yield b"not a pickle", ours
    yield pickle.dumps([1, 2, 3]), r"baseline \(not enough values"
    yield pickle.dumps({"weight": 1}), r"baseline \(not enough values"
    yield pickled(adam=((1, 2), ())), "it has no weights and state of Adam"
    yield pickled(count="text"), "a str is where an array is asked for"
    yield pickled(count=np.arange(3)), "Adam's count is no number of steps"
    yield pickled(weights=names), "a str is where an array is asked for"
    yield pickled(weights=itself), "has no my_model/"
    yield pickled(adam=deep), ours
    yield pickled(weights=infinite), "is not of finite numbers"
    yield pickled(weights=flat), r"conv3_d_transpose/w is of shape \(\d+,\), mknet.py's network asks for"


class Malicious:
    def __reduce__(self):
        import os

        return os.mkdir, ("ran",)


def test_nothing_of_a_pickle_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "malicious"
    path.write_bytes(pickle.dumps((Malicious(), (1, 2, 3), 0)))
    with pytest.raises(UserError):
        read_haiku(path, NETWORK)
    assert not (tmp_path / "ran").exists()
    pickle.loads(path.read_bytes())  # the control
    assert (tmp_path / "ran").exists()
