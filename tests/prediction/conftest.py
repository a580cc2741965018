"""A tiny network with random weights, and small raw with anisotropic, fractional voxels and an offset that is not zero.

    z  |--6--|  3  |--6--|         input (15, 28, 26) -> output (3, 8, 10)
    y  |----10----| 8 |----10----| pooling by (1, 3, 2): in y, where outputs are 2, 5, 8 ... voxels, the result depends
    x  |---8---|  10  |---8---|    on where in its block a voxel lies
"""

import shutil
from pathlib import Path

import numpy as np
import pytest

from lsd_experiments import checkpoints, networks
from lsd_experiments.arrays import create_volume, open_volume
from lsd_experiments.networks import Head, Network
from lsd_experiments.prediction.plan import make_plan
from lsd_experiments.prediction.settings import PredictionSettings
from tests.scripts import run_script

ROOT = Path(__file__).parents[2]
NETWORK = Network(
    num_fmaps=2, fmap_inc_factor=2, downsample_factors=((1, 3, 2),),
    heads=(Head("lsds", channels=2, checkpoint_name="embedding"), Head("affs", channels=3)),
)
INPUT_SHAPE, OUTPUT_SHAPE, MARGIN = (15, 28, 26), (3, 8, 10), (6, 10, 8)
VOXEL_SIZE = (50, 9, 4.6)
OFFSET = (100, -27, 4.6 * 3)
ITERATION = 7


@pytest.fixture(scope="session")
def network():
    return NETWORK


@pytest.fixture(scope="session")
def model():
    """With weights large enough for outputs from 0 to 1."""
    import keras

    keras.utils.set_random_seed(3)
    model = NETWORK.build(INPUT_SHAPE)
    for layer in model.layers:
        layer.set_weights([weights * (2.5 if weights.ndim > 1 else 1) for weights in layer.get_weights()])
    return model


@pytest.fixture(scope="session")
def setup(tmp_path_factory, model):
    """A setup directory: the doors of a real one, config.json and a checkpoint. Not to be changed."""
    directory = tmp_path_factory.mktemp("repository") / "02_train" / "fib25" / "tiny"
    directory.mkdir(parents=True)
    for script in ("predict.py", "predict_scan.py"):
        shutil.copy(ROOT / "02_train" / "fib25" / "mtlsd" / script, directory)
    shutil.copy(ROOT / "02_train" / "fib25" / "dataset.toml", directory.parent)
    networks.write(NETWORK, "config", INPUT_SHAPE, directory)
    checkpoints.save_checkpoint(model, directory, NETWORK, ITERATION, {"voxel_size": VOXEL_SIZE, "seed": 3})
    return directory


@pytest.fixture(scope="session")
def make_raw(tmp_path_factory):
    """A function that gives the container of raw of a shape, made once: every value of uint8, at random."""
    made = {}

    def make(shape):
        if shape not in made:
            made[shape] = tmp_path_factory.mktemp("raw") / "raw.zarr"
            values = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
            volume = create_volume(made[shape], "volumes/raw", shape, VOXEL_SIZE, OFFSET, values.dtype)
            volume.write(volume.box, values)
        return made[shape]
    return make


@pytest.fixture
def plan(setup, tmp_path):
    """A function that plans the prediction of a container, with further settings."""
    def make(raw_file, out_file=None, **settings):
        out_file = str(out_file or tmp_path / "prediction.zarr")
        return make_plan(PredictionSettings(str(setup), str(raw_file), out_file, **settings))
    return make


@pytest.fixture
def expected(model):
    """A function that predicts raw [z, y, x] uint8 as the definition says.

    Block by block on a grid that begins at ``begin`` and covers ``shape``, of raw with zeros around it; by Keras.
    """
    def predict(raw, begin=(0, 0, 0), shape=None, output_shape=OUTPUT_SHAPE, **pad):
        shape = shape or raw.shape
        block_model = model if output_shape == OUTPUT_SHAPE else with_weights_of(model, output_shape)
        padded = np.pad(raw, [(m, m + o) for m, o in zip(MARGIN, output_shape, strict=True)], **pad)
        result = {head.name: np.zeros((head.channels, *shape), np.uint8) for head in NETWORK.heads}
        for corner in np.ndindex(*(-(-s // o) for s, o in zip(shape, output_shape, strict=True))):
            first = [c * o for c, o in zip(corner, output_shape, strict=True)]
            block = padded[tuple(slice(b + f, b + f + o + 2 * m)
                                 for b, f, o, m in zip(begin, first, output_shape, MARGIN, strict=True))]
            network_range = block[None, ..., None].astype(np.float32) / 255 * 2 - 1
            there = tuple(slice(f, f + o) for f, o in zip(first, output_shape, strict=True))
            for name, values in block_model.predict_on_batch({"raw": network_range}).items():
                part = result[name][:, *there]
                z, y, x = part.shape[1:]
                part[...] = np.floor(np.moveaxis(values[0], -1, 0) * np.float32(255))[:, :z, :y, :x]
        return result
    return predict


def with_weights_of(model, output_shape):
    other = NETWORK.build(tuple(o + 2 * m for o, m in zip(output_shape, MARGIN, strict=True)))
    other.set_weights(model.get_weights())
    return other


@pytest.fixture
def read():
    """A function that reads all outputs of a container."""
    def read_outputs(container):
        return {head.name: open_volume(str(container), f"volumes/{head.name}").read() for head in NETWORK.heads}
    return read_outputs


@pytest.fixture
def run(setup, tmp_path):
    """A function that runs a script of the setup as a user does, in a directory of its own."""
    def run_of_setup(script, *arguments, status=0):
        done = run_script(setup / script, *arguments, cwd=tmp_path)
        assert done.returncode == status, done.stderr
        return done
    return run_of_setup
