"""Small volumes on disk: anisotropic voxels, an offset that is not zero, no two axes alike, labels inside of raw.

    raw      [----------------------------]     40 x 90 x 80 voxels
    labels       [--------------------]         24 x 60 x 56, 8 / 15 / 12 voxels further in
    objects      |  1 |  2 |  3 |  4 |          boxes of 6 x 12 x 14, with background of one voxel between them
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zarr

from lsd_experiments import frameworks
from lsd_experiments.datasets import load_dataset
from lsd_experiments.families.lsd import serial_sections
from lsd_experiments.networks import Head, Network
from lsd_experiments.scenario import copy_experiment
from lsd_experiments.targets import Affinities, LocalShapeDescriptors
from lsd_experiments.training import Experiment
from lsd_experiments.training.stopping import LOCK
from tests.scripts import ROOT, environment, run_script

frameworks.import_gunpowder()

RAW_SHAPE, LABELS_SHAPE, INSIDE = (40, 90, 80), (24, 60, 56), (8, 15, 12)
OFFSET = (200.0, 45.0, 63.0)

DATASET = load_dataset(ROOT / "02_train" / "zebrafinch")
TARGETS = (LocalShapeDescriptors(sigma=60), Affinities())
EXPERIMENT = Experiment("../dataset.toml", "train_net.json", TARGETS, serial_sections, boundary_axes=(1, 2))
NETWORK = Network(1, 2, ((1, 2, 2),), (Head("lsds", 10, "embedding"), Head("affs", 3)), num_fmaps_out=2)
INPUT_SHAPE = (16, 36, 32)  # -> (4, 20, 16)
# Of real processes: the smallest network and input that make sense of 02_train/synthetic/mtlsd.
OPTIONS = ("--num-fmaps", "1", "--fmap-inc-factor", "1", "--input-shape", "24", "60", "60", "--seed", "7")


@pytest.fixture
def dataset():
    return DATASET


@pytest.fixture
def experiment():
    return EXPERIMENT


@pytest.fixture
def network():
    return NETWORK


@pytest.fixture
def input_shape():
    return INPUT_SHAPE


def objects(shape=LABELS_SHAPE, first=1, dtype=np.uint64):
    """Boxes of 6 x 12 x 14 voxels, numbered from ``first``, whose last voxels along each axis are background."""
    z, y, x = np.indices(shape)
    ids = (z // 6) * 100 + (y // 12) * 10 + x // 14 + first
    background = (z % 6 == 5) | (y % 12 == 11) | (x % 14 == 13)
    return np.where(background, 0, ids).astype(dtype)


def write_volume(path, raw=None, labels=None, mask="most", voxel_size=(20, 9, 9), offset=OFFSET, inside=INSIDE,
                 unlabeled=None, dataset=DATASET):
    """A training container at ``path``, with the names of ``dataset``; a ``mask`` of None is not written.

    ``unlabeled``: the mask of sparse labels (default: 1 where there is a label, if the dataset has such a mask).
    """
    root = zarr.open_group(zarr.DirectoryStore(str(path)), mode="w")
    if raw is None:
        raw = np.random.default_rng(0).integers(0, 256, RAW_SHAPE, np.uint8)
    labels = objects() if labels is None else labels
    if isinstance(mask, str):
        mask = np.ones(labels.shape, np.uint8)
        mask[-3:] = 0
    place = [o + i * v for o, i, v in zip(offset, inside, voxel_size, strict=True)]
    if unlabeled is None and dataset.unlabeled_mask:
        unlabeled = (labels > 0).astype(np.uint8)
    for name, array, where in (
        (dataset.raw, raw, list(offset)),
        (dataset.labels, labels, place),
        (dataset.labels_mask, mask, place),
        (dataset.unlabeled_mask, unlabeled, place),
    ):
        if array is not None:
            made = root.create_dataset(name, data=array, chunks=tuple(min(32, s) for s in array.shape))
            made.attrs.put({"resolution": list(voxel_size), "offset": where})
    return str(path)


@pytest.fixture
def volume(tmp_path):
    """A container that can be trained on."""
    return write_volume(tmp_path / "volume.zarr")


@pytest.fixture(name="write_volume")
def _write_volume():
    return write_volume


@pytest.fixture(name="objects")
def _objects():
    return objects


@pytest.fixture
def root():
    """The repository."""
    return Path(__file__).parents[2]


@pytest.fixture
def make_run(dataset, experiment, network, input_shape, volume, tmp_path):
    """A function that makes a training in a directory of its own, and one to run it."""
    from lsd_experiments.checkpoints import find_checkpoint
    from lsd_experiments.training.data import find_samples
    from lsd_experiments.training.options import TrainingOptions
    from lsd_experiments.training.padding import label_padding
    from lsd_experiments.training.places import find_places
    from lsd_experiments.training.preparing import decided
    from lsd_experiments.training.training import Training
    from lsd_experiments.training.validation_samples import kept_samples

    def make(name="setup", data=volume, dataset=dataset, experiment=experiment, network=network, input_shape=input_shape,
             first=None, **options):
        directory = tmp_path / name
        directory.mkdir(exist_ok=True)
        asked = TrainingOptions(**{"iterations": 2, "num_workers": 0, "seed": 3, "data": (data,), **options})
        output_shape, checkpoint = network.output_shape(input_shape), find_checkpoint(directory)
        experiment.check_network(network)
        experiment, asked = decided(experiment, asked, checkpoint)
        padding = label_padding(experiment, dataset.voxel_size, output_shape)
        samples = [(sample, find_places(sample, output_shape, padding, experiment.min_masked))
                   for sample in find_samples(dataset, asked.data, asked.resample)]
        kept = kept_samples(dataset, asked, {"uint8": (0, 255)})
        training = Training(experiment, dataset, network, input_shape, asked, directory, samples, checkpoint, first, kept=kept)
        return training, training.run

    return make


class Setup:
    """A copy of 02_train/synthetic/mtlsd, whose commands are run as a user would."""

    def __init__(self, directory, volume):
        self.directory, self.volume, self.options = directory, volume, ("--data", volume, *OPTIONS)
        copy_experiment(ROOT / "02_train" / "synthetic" / "mtlsd", directory)
        self.environment = environment()
        self.environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
        self.run("mknet.py")

    def command(self, script, *arguments):
        return [sys.executable, str(self.directory / script), *map(str, arguments)]

    def run(self, script, *arguments):
        return run_script(self.directory / script, *arguments, cwd=self.directory, env=self.environment)

    def start(self, script, *arguments):
        """In a process group of its own."""
        return subprocess.Popen(
            self.command(script, *arguments), cwd=self.directory, env=self.environment, stderr=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def tree(self):
        """All files, with their sizes and times, but for the empty one that a training locks."""
        return {
            str(path.relative_to(self.directory)): (path.stat().st_size, path.stat().st_mtime_ns)
            for path in self.directory.rglob("*")
            if path.name != LOCK
        }


@pytest.fixture(scope="module")
def make_setup(tmp_path_factory):
    def make():
        directory = tmp_path_factory.mktemp("setup")
        volume = write_volume(directory / "volume.zarr")
        return Setup(directory / "02_train" / "synthetic" / "mtlsd", volume)

    return make
