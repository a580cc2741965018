"""Batches and those of gunpowder's and lsds' own nodes, with other random numbers: alike in distribution.

Raw is a ramp along y, whose gradient tells what the augmentation did to space and to intensities. Both pipelines take their
samples from the same places, which gunpowder would draw in another way; see docs/differences.md.
"""

import importlib.util
from dataclasses import replace
from pathlib import Path

import gunpowder as gp
import numpy as np
import pytest
import zarr
from scipy.stats import ks_2samp

from lsd_experiments.augmentation.elastic import ElasticAugment
from lsd_experiments.datasets import load_dataset
from lsd_experiments.networks import Head, Network
from lsd_experiments.targets import Affinities, LocalShapeDescriptors
from lsd_experiments.training import Experiment
from lsd_experiments.training.data import open_sample
from lsd_experiments.training.keys import LABELS, RAW, head_keys
from lsd_experiments.training.padding import label_padding
from lsd_experiments.training.pipeline import _source, batch_pipeline, batch_request
from lsd_experiments.training.places import find_places

ROOT = Path(__file__).resolve().parents[2]
DATASET = load_dataset(ROOT / "02_train" / "zebrafinch")
SIGMA = 30  # nm, of which lsds makes a context that its downsampling divides
ELASTIC = {"control_point_spacing": (4, 4, 10), "jitter_sigma": (0, 2, 2), "prob_slip": 0.05, "prob_shift": 0.05,
           "max_misalign": 10}  # fmt: skip
NETWORK = Network(1, 2, ((1, 2, 2),), (Head("lsds", 10, "embedding"), Head("affs", 3)), num_fmaps_out=2)
INPUT_SHAPE = (20, 36, 36)
OUTPUT_SHAPE = NETWORK.output_shape(INPUT_SHAPE)  # (8, 20, 20)
RAW_SHAPE, LABELS_SHAPE, INSIDE = (60, 120, 110), (40, 84, 84), (10, 18, 13)
BATCHES = 120
ALIKE, DIFFERENT = 1e-3, 1e-6  # p-values of the test of Kolmogorov and Smirnov; there are 11 statistics
LSDS, AFFS = head_keys("lsds"), head_keys("affs")


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """Boxes of 6 x 12 x 14 voxels with background between them, and a mask that leaves some sections out."""
    z, y, x = np.indices(LABELS_SHAPE)
    background = (z % 6 == 5) | (y % 12 == 11) | (x % 14 == 13)
    ramp = np.broadcast_to(np.linspace(80, 170, RAW_SHAPE[1])[None, :, None], RAW_SHAPE)
    path = tmp_path_factory.mktemp("statistics") / "ramp.zarr"
    root, size = zarr.open_group(zarr.DirectoryStore(str(path)), mode="w"), np.array(DATASET.voxel_size)
    for name, array, begin in (
        (DATASET.raw, ramp.round().astype(np.uint8), (0, 0, 0)),
        (DATASET.labels, np.where(background, 0, (z // 6) * 100 + (y // 12) * 10 + x // 14 + 1).astype(np.uint64), INSIDE),
        (DATASET.labels_mask, (z < LABELS_SHAPE[0] - 5).astype(np.uint8), INSIDE),
    ):
        root.create_dataset(name, data=array).attrs.put({"resolution": size.tolist(), "offset": (size * begin).tolist()})
    return open_sample(DATASET, str(path))


@pytest.fixture(scope="module")
def theirs(sample):
    """The statistics of the published nodes' batches."""
    specification = importlib.util.spec_from_file_location("published_samples", ROOT / "benchmarks" / "published_samples.py")
    published = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(published)
    nodes = published.published_augmentation() + published.published_targets(SIGMA)
    request = batch_request(EXPERIMENT, DATASET, INPUT_SHAPE, OUTPUT_SHAPE)
    del request[LSDS.weights]  # the labels mask
    return collect(_source(DATASET, sample, places(sample), parity=False) + nodes + gp.Stack(1), request, first=10_000)


def sampling(slab=(1, -1, -1), **changes):
    """Zebra finch's."""
    return lambda: (
        ElasticAugment(**{**ELASTIC, **changes})
        + gp.SimpleAugment(transpose_only=[1, 2])
        + gp.IntensityAugment(RAW, scale_min=0.9, scale_max=1.1, shift_min=-0.1, shift_max=0.1, slab=slab)
    )


EXPERIMENT = Experiment(
    "../dataset.toml", "train_net.json", (LocalShapeDescriptors(SIGMA), Affinities()), sampling(), boundary_axes=(1, 2)
)


def ours(sample, experiment):
    pipeline = batch_pipeline(experiment, DATASET, [(sample, places(sample))], 1)
    return collect(pipeline, batch_request(experiment, DATASET, INPUT_SHAPE, OUTPUT_SHAPE), first=0)


def places(sample):
    return find_places(sample, OUTPUT_SHAPE, label_padding(EXPERIMENT, DATASET.voxel_size, OUTPUT_SHAPE), 0.5)


def collect(pipeline, request, first):
    """By statistic, its value in each of ``BATCHES`` batches."""
    found = []
    with gp.build(pipeline):
        for seed in range(first, first + BATCHES):
            seeded = request.copy()
            seeded._random_seed = seed
            found.append(statistics(pipeline.request_batch(seeded)))
    return {name: np.array([values[name] for values in found]) for name in found[0]}


def statistics(batch):
    raw, labels, lsds = batch[RAW].data[0], batch[LABELS].data[0], batch[LSDS.target].data[0]
    centre = raw[:, 8:-8, 8:-8]
    down, right = np.abs(np.diff(centre, axis=1).mean((1, 2))), np.abs(np.diff(centre, axis=2).mean((1, 2)))
    angle = np.arctan2(down.mean(), right.mean())
    return {
        "rotation": min(angle, np.pi / 2 - angle),  # but for mirrors and the transposition
        "displacement": bend(centre),
        "slope": np.hypot(down, right).mean(),
        "intensity": centre.mean(),
        "intensity over sections": centre.mean((1, 2)).std(),
        "misalignment": (labels[1:] != labels[:-1]).mean(),
        "foreground": (labels > 0).mean(),
        "objects": len(np.unique(labels)),
        "affinities": batch[AFFS.target].data.mean(),
        "balance": batch[AFFS.weights].data.max() + batch[AFFS.mask].data.mean(),
        "lsds": lsds[:, labels > 0].mean() if labels.any() else 0.0,
    }


def bend(raw):
    """How far sections of ``raw`` are from planes."""
    y, x = np.indices(raw.shape[1:]).reshape(2, -1)
    sections = raw.reshape(len(raw), -1).T
    _, squares, _, _ = np.linalg.lstsq(np.stack([np.ones(len(y)), y, x], axis=1), sections, rcond=None)
    return np.sqrt(squares / len(sections)).mean()


def p_values(first, second):
    return {name: float(ks_2samp(first[name], second[name]).pvalue) for name in first}


def test_batches_are_alike_in_distribution(sample, theirs):
    found = p_values(ours(sample, EXPERIMENT), theirs)
    assert min(found.values()) > ALIKE, found
    assert all(len(np.unique(values)) > 5 for values in theirs.values())


@pytest.mark.parametrize(
    ("statistic", "changes"),
    [
        ("rotation", {"rotation_interval": (0, 0.3)}),
        ("displacement", {"jitter_sigma": (0, 5.0, 5.0)}),
        ("misalignment", {"prob_shift": 0.6}),
    ],
)
def test_another_augmentation_is_seen(statistic, changes, sample, theirs):
    found = p_values(ours(sample, replace(EXPERIMENT, sampling=sampling(**changes))), theirs)
    assert found[statistic] < DIFFERENT, found


def test_other_intensities_are_seen(sample, theirs):
    found = p_values(ours(sample, replace(EXPERIMENT, sampling=sampling(slab=None))), theirs)
    assert found["intensity over sections"] < DIFFERENT, found


def test_other_targets_are_seen(sample, theirs):
    found = p_values(ours(sample, replace(EXPERIMENT, boundary_axes=(0, 1, 2))), theirs)
    assert max(found["foreground"], found["affinities"]) < DIFFERENT, found
