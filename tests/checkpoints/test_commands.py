"""inspect_checkpoint.py, and train.py on top of a published checkpoint, as real processes."""

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from lsd_experiments.arrays import create_volume
from lsd_experiments.checkpoints import read_checkpoint, resolve
from lsd_experiments.checkpoints.inspect_command import describe
from lsd_experiments.checkpoints.inspection import inspect
from lsd_experiments.errors import UserError
from lsd_experiments.scenario import copy_experiment
from tests.scripts import run_script

ROOT = Path(__file__).parents[2]
SETUPS = ROOT / "02_train"


def run(script, *arguments, cwd=ROOT):
    return run_script(script, *arguments, cwd=cwd)


@pytest.fixture
def baseline(make):
    return make("setup01", optimizers=("Adam",), steps=400_000, recorded=400_000)


def test_inspection_in_words(baseline, tmp_path):
    ran = run(SETUPS / "inspect_checkpoint.py", tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    path, *lines = ran.stdout.splitlines()
    assert path == str(baseline)
    told = {line[:21].strip(): line[21:] for line in lines}
    similar = told.pop("with other widths").split(", ")
    assert {"zebrafinch/baseline", "zebrafinch/malis"} <= set(similar)
    assert not [name for name in similar if name.startswith(("fib25", "hemi"))]
    assert told == {
        "format": "TensorFlow 1",
        "scope": "setup01",
        "variant": "baseline or malis",
        "input": "raw (1 channel)",
        "heads": "affs (3 channels)",
        "feature maps": "2, 4, 8, 16",
        "downsampling": "1x3x3, 1x3x3, 3x3x3",
        "parameters": f"{sum(np.prod(s, dtype=int) for s in _own_shapes(baseline)):,}",
        "iteration": "400000",
        "optimizer": "Adam, after 400000 steps",
        "fits": "no directory of 02_train as it is",
    }


def _own_shapes(path):
    import tensorflow as tf

    shapes = tf.train.load_checkpoint(str(path).removesuffix(".index")).get_variable_to_shape_map()
    return [shape for name, shape in shapes.items() if name.endswith(("kernel", "bias"))]


def test_inspection_as_json(baseline):
    ran = run(SETUPS / "inspect_checkpoint.py", baseline, "--json")
    assert ran.returncode == 0, ran.stderr
    contents = json.loads(ran.stdout)
    assert {"baseline", "malis"} <= {*contents["variants"]}
    assert contents["heads"] == [{"name": "affs", "channels": 3, "checkpoint_name": None, "predicted": None}]
    assert contents["steps"] == contents["iteration"] == 400_000
    assert contents["fmaps"] == [2, 4, 8, 16]


def test_the_same_for_our_own(tmp_path, experiments):
    from lsd_experiments import frameworks

    frameworks.import_keras()
    import keras

    from lsd_experiments.checkpoints import save_checkpoint
    from lsd_experiments.checkpoints.average import named_weights
    from lsd_experiments.networks import Head, Network

    network = Network(2, 3, ((1, 2, 2),), (Head("lsds", 10, "embedding"), Head("affs", 3)), 3)
    model = network.build(network.smallest_input_shape)
    path = save_checkpoint(model, tmp_path, network, 5, {"seed": 1, "voxel_size": [20, 9, 9]})
    contents = inspect(tmp_path, experiments)
    assert (contents.format, contents.variants, contents.optimizer) == ("Keras", ("mtlsd", "mtlsd_malis"), None)
    assert contents.parameters == model.count_params()
    assert (contents.fmaps, contents.num_fmaps_out, contents.iteration) == ((2, 6), 3, 5)
    assert "voxel size         20, 9, 9 nm" in describe(contents)
    assert "no state of it" in describe(contents)
    model.compile(keras.optimizers.Adam(), loss="mse")
    model.optimizer.build(model.trainable_variables)
    model.optimizer.iterations.assign(17)
    save_checkpoint(model, tmp_path, network, 5, {})
    assert "Adam, after 17 steps" in describe(inspect(path))
    validation = {"iteration": 4, "loss": 0.25, "voi_sum": 1.5, "of": {"metric": "voi_sum"}}
    save_checkpoint(model, tmp_path, network, 4, {"validation": validation}, best=True)
    assert "validation         loss 0.25, voi_sum 1.5, after iteration 4\n" in describe(inspect(tmp_path, None, "best"))
    assert "validation" not in describe(inspect(tmp_path))
    assert "averages" not in describe(inspect(tmp_path))
    averages = {name: weights.numpy() * 0 for name, weights in named_weights(model).items()}
    save_checkpoint(model, tmp_path, network, 6, {"average": {"decay": 0.99, "steps": 1}}, averages=averages)
    assert "averages           of weights, which predict: after 1 step, decay 0.99\n" in describe(inspect(tmp_path))
    assert inspect(tmp_path).parameters == contents.parameters


def test_every_name_that_a_checkpoint_may_be_called_by(make, tmp_path):
    index = make()
    prefix = tmp_path / "train_net_checkpoint_400000"
    for path in (tmp_path, index, prefix, prefix.with_name(f"{prefix.name}.data-00000-of-00001")):
        assert resolve(path) == index
    other = tmp_path / "notes.txt"
    other.write_text("")
    with pytest.raises(UserError, match=r"notes.txt: is no checkpoint: their names end in .weights.h5 or .index"):
        resolve(other)


@pytest.mark.parametrize("what", ["missing", "cut off", "no U-Net"])
def test_what_cannot_be_inspected_is_said_in_one_line(make, write, tmp_path, what):
    path = make()
    if what == "missing":
        path.with_name("train_net_checkpoint_400000.data-00000-of-00001").unlink()
    elif what == "cut off":
        path.write_bytes(path.read_bytes()[:100])
    else:
        write(tmp_path / "train_net_checkpoint_400000", {"weights": np.float32(1)})
    ran = run(SETUPS / "inspect_checkpoint.py", path)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith(f"error: {tmp_path}/train_net_checkpoint_400000")
    assert ran.stderr.count("\n") == 1


@pytest.fixture
def setup(tmp_path):
    """A copy of 02_train/fib25/baseline, with a volume of its voxel size."""
    directory = copy_experiment(SETUPS / "fib25" / "baseline", tmp_path / "02_train" / "fib25" / "baseline")
    random, volume = np.random.default_rng(0), tmp_path / "volume.zarr"
    for name, shape, offset, top in (("raw", (40, 44, 48), 0, 256), ("labels/neuron_ids", (16, 18, 20), 96, 5)):
        made = create_volume(volume, f"volumes/{name}", shape, (8, 8, 8), (offset,) * 3, np.uint8 if top == 256 else np.uint64)
        made.write(made.box, random.integers(0, top, shape).astype(made.dtype))
    assert run(directory / "mknet.py", cwd=directory).returncode == 0
    return directory, ("--data", volume, "--num-fmaps", 3, "--fmap-inc-factor", 2, "--num-workers", 0,
                       "--input-shape", 112, 112, 112)  # fmt: skip


def test_train_py_400001_goes_on_from_the_published_checkpoint(setup, published, pointer):
    """What the published README does, without editing the file that names iteration 500000."""
    directory, options = setup
    for path in published("fib25_baseline").glob("train_net_checkpoint*"):
        shutil.copy(path, directory)
    pointer(directory)
    refused = run(directory / "train.py", 400001, *options[:2], cwd=directory)
    assert refused.returncode == 2
    assert "unet_layer_0_left_0/kernel is (3, 3, 3, 1, 3), not (3, 3, 3, 1, 12): num_fmaps is 3, not 12." in refused.stderr
    ran = run(directory / "train.py", 400001, *options, cwd=directory)
    assert ran.returncode == 0, ran.stderr
    said = ran.stderr.splitlines()
    assert said[0].endswith("checkpoint names train_net_checkpoint_500000, which is not there: train_net_checkpoint_400000, "
                            "the newest that is, is taken")  # fmt: skip
    assert said[1] == "training until iteration 400001, from train_net_checkpoint_400000.index"
    assert "afresh" not in ran.stderr
    assert {path.name for path in (directory / "snapshots").iterdir()} == {"batch_400001.hdf"}
    with h5py.File(directory / "snapshots" / "batch_400001.hdf") as file:
        assert file["volumes/pred_affinities"].shape == (3, 8, 8, 8)
    assert 'model_checkpoint_path: "train_net_checkpoint_400001"' in (directory / "checkpoint").read_text()
    before = read_checkpoint(directory / "train_net_checkpoint_400000.index")
    after = read_checkpoint(directory / "train_net_checkpoint_400001.weights.h5")
    assert after.network == before.network
    assert after.iteration == 400001
    assert isinstance(after.record["seed"], int)
    contents = inspect(after.path)
    assert contents.steps == inspect(before.path).steps + 1 == 3  # Adam went on
    with h5py.File(after.path) as file:
        names = {layer["vars"].attrs["name"]: layer["vars"] for layer in file["layers"].values()}
        moved = names["affs_0"]["1"][()] - _bias(before.path)
    assert 0 < np.abs(moved).max() < 1e-3  # a step of the published learning rate away
    again = run(directory / "train.py", 400001, *options, cwd=directory)
    assert again.stdout.startswith("nothing to do: train_net_checkpoint_400001.weights.h5 is at iteration 400001")


def _bias(path):
    from lsd_experiments.checkpoints.bundle import open_bundle

    return open_bundle(path).read("setup01/affs_0/bias")
