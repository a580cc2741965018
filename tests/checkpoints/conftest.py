"""Checkpoints of TensorFlow 1: those that the published code wrote, and others with its names, written by TensorFlow."""

import json
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / ".." / "shared" / "fixtures" / "tf1_checkpoints"
ITERATION = 400000


@pytest.fixture(scope="session")
def experiments(tmp_path_factory):
    """02_train without the experiments that whoever runs the tests has added: the datasets that say what is expected of them."""
    directory = tmp_path_factory.mktemp("experiments")
    for file in (ROOT / "02_train").glob("*/expected.toml"):
        (directory / file.parent.name).symlink_to(file.parent)
    return directory


@pytest.fixture(scope="session")
def published():
    """The directory of a checkpoint that was written by the published code, by its name."""
    if not FIXTURES.is_dir():
        pytest.skip("the checkpoints of the published code are not part of the repository")
    return lambda name: FIXTURES / name


def weight_shapes(channels=1, fmaps=(2, 4, 8, 16), factors=((1, 3, 3), (1, 3, 3), (3, 3, 3)), out=None, heads=(("affs", 3),)):
    """The variables of a published U-Net: <layer>/<kernel or bias>, and shape in TensorFlow's layout, written out."""
    out = out or fmaps[0]
    kernels = {}
    for level, (before, here) in enumerate(zip((channels, *fmaps), fmaps, strict=False)):
        kernels[f"unet_layer_{level}_left_0"] = (3, 3, 3, before, here)
        kernels[f"unet_layer_{level}_left_1"] = (3, 3, 3, here, here)
    for level, factor in enumerate(factors):
        last = fmaps[level] if level else out
        kernels[f"unet_up_{level + 1}_to_{level}"] = (*factor, fmaps[level], fmaps[level + 1])
        kernels[f"unet_layer_{level}_right_0"] = (3, 3, 3, 2 * fmaps[level], last)
        kernels[f"unet_layer_{level}_right_1"] = (3, 3, 3, last, last)
    kernels |= {f"{name}_0": (1, 1, 1, out, count) for name, count in heads}
    shapes = {}
    for name, kernel in kernels.items():
        shapes[f"{name}/kernel"] = kernel
        shapes[f"{name}/bias"] = (kernel[3] if "_up_" in name else kernel[4],)
    return shapes


def slot_names(scope, weight, optimizer):
    """The names of a weight's moments m and v: inside of the scope, which is then doubled, or outside."""
    name = f"{scope}/{scope}/{weight}/Adam" if optimizer == "Adam" else f"{scope}/{weight}/{optimizer}"
    return name, f"{name}_1"


def variables(scope, shapes, optimizers=(), steps=0, iteration=None, seed=0):
    """Names and random values of a checkpoint; ``steps``: that each of the ``optimizers`` took."""
    random = np.random.default_rng(seed)
    values = {f"{scope}/{name}": random.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes.items()}
    for optimizer in optimizers:
        for name, shape in shapes.items():
            first, second = slot_names(scope, name, optimizer)
            values[first] = random.normal(0, 1, shape).astype(np.float32)
            values[second] = random.random(shape, np.float32)
        for power, beta in (("beta1_power", 0.95), ("beta2_power", 0.999)):
            values[f"{scope}/{power}" if optimizer == "Adam" else power] = np.float32(beta ** (steps + 1))
    if iteration is not None:
        values["gunpowder/iteration"] = np.array([iteration], np.float32)
    return values


def write(prefix, values):
    """``values`` by name as a TensorFlow checkpoint, by TensorFlow; returns its .index file."""
    from lsd_experiments import frameworks

    frameworks.import_keras()
    import tensorflow as tf

    prefix.parent.mkdir(parents=True, exist_ok=True)
    names = list(values)
    tf.raw_ops.SaveV2(
        prefix=str(prefix), tensor_names=names, shape_and_slices=[""] * len(names), tensors=[values[name] for name in names]
    )
    return prefix.with_name(prefix.name + ".index")


@pytest.fixture(name="write", scope="session")
def _write():
    return write


@pytest.fixture(name="weight_shapes")
def _weight_shapes():
    return weight_shapes


@pytest.fixture(name="slot_names")
def _slot_names():
    return slot_names


@pytest.fixture
def make(tmp_path):
    """A function that writes a checkpoint of a network and returns its .index file."""
    def make_checkpoint(scope="setup01", iteration=ITERATION, directory=tmp_path, leave_out=(), steps=0, optimizers=(),
                        recorded=None, **network):
        values = variables(scope, weight_shapes(**network), optimizers, steps, recorded)
        kept = {name: value for name, value in values.items() if not any(part in name for part in leave_out)}
        return write(directory / f"train_net_checkpoint_{iteration}", kept)
    return make_checkpoint


@pytest.fixture
def pointer():
    """A function that writes the published file ``checkpoint``."""
    def write_pointer(directory, name="train_net_checkpoint_500000"):
        text = f"model_checkpoint_path: {json.dumps(name)}\nall_model_checkpoint_paths: {json.dumps(name)}\n"
        (directory / "checkpoint").write_text(text)
    return write_pointer
