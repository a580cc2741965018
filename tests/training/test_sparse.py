"""Sparse labels, as XPRESS has them: the unlabeled mask, what affinities are trained towards between labelled voxels and
others, and where outputs may lie."""

from dataclasses import replace
from pathlib import Path

import gunpowder as gp
import numpy as np
import pytest

from lsd_experiments.datasets import load_dataset
from lsd_experiments.errors import UserError
from lsd_experiments.networks import Head, Network
from lsd_experiments.sources import world_units
from lsd_experiments.targets import DIRECT, Affinities
from lsd_experiments.training import Experiment
from lsd_experiments.training.boundaries import GrowBoundary
from lsd_experiments.training.data import open_sample
from lsd_experiments.training.keys import LABELS, LABELS_MASK, RAW, UNLABELED, head_keys
from lsd_experiments.training.pipeline import batch_pipeline, batch_request
from lsd_experiments.training.places import find_places
from lsd_experiments.training.sources import sample_source

DATASET = load_dataset(Path(__file__).parents[2] / "02_train" / "xpress")
TARGET = Affinities((*DIRECT, (-3, 0, 0), (0, -3, 0), (0, 0, -3)))
AFFS_MASK = head_keys("affs").mask
NETWORK = Network(1, 2, ((2, 2, 2),), (Head("affs", 6, predicted=3),), architecture="funlib")
SHAPE = (12, 14, 16)


@pytest.fixture
def labels():
    """Two axons side by side, another apart, and much that nobody labelled."""
    labels = np.zeros(SHAPE, np.uint64)
    labels[:, 2:5, 2:6], labels[:, 5:8, 2:6], labels[:8, 2:9, 10:14] = 7, 8, 9
    return labels


@pytest.fixture
def container(write_volume, labels, tmp_path):
    def make(name="sparse.zarr", mask=None, **options):
        mask = np.ones(SHAPE, np.uint8) if mask is None else mask
        return write_volume(tmp_path / name, labels=labels, mask=mask, voxel_size=DATASET.voxel_size, offset=(0, 33, 66),
                            dataset=DATASET, **options)

    return make


def experiment(target, *nodes):
    """Without displacements."""
    def sampling():
        pipeline = gp.SimpleAugment(transpose_only=[0, 1, 2])
        for node in nodes:
            pipeline += node
        return pipeline

    return Experiment("../dataset.toml", "train_net.json", (target,), sampling, min_masked=0.1, label_padding=(32, 32, 32))


def batch_of(container):
    """Labels with grown boundaries, and the targets of all of them, without augmentation."""
    sample = open_sample(DATASET, container)
    unit, affs = world_units(DATASET.voxel_size), head_keys("affs")
    pipeline = sample_source(sample, unit)
    for key in (LABELS, LABELS_MASK, UNLABELED):
        pipeline += gp.Pad(key, None)
    pipeline += GrowBoundary((0, 1, 2)) + TARGET.nodes(DATASET, parity=False)
    roi = gp.Roi(gp.Coordinate(sample.shift) * unit, gp.Coordinate(SHAPE) * unit)
    keys = (LABELS, LABELS_MASK, UNLABELED, AFFS_MASK, affs.target, affs.weights)
    with gp.build(pipeline):
        batch = pipeline.request_batch(gp.BatchRequest({key: gp.ArraySpec(roi) for key in keys}))
    return {key: batch[key].data for key in keys}, affs


def expected(labels, mask, unlabeled):
    """Affinities and their mask, voxel by voxel; outside of the labels all is 0, as padding."""
    target, counts = np.zeros((2, 6, *SHAPE), int)
    for channel, offset in enumerate(TARGET.neighborhood):
        for at in np.ndindex(*SHAPE):
            other = tuple(np.add(at, offset))
            inside = min(other) >= 0
            there = [array[other] if inside else 0 for array in (labels, mask, unlabeled)]
            target[channel][at] = labels[at] > 0 and labels[at] == there[0]
            counts[channel][at] = mask[at] > 0 and there[1] > 0 and (unlabeled[at] > 0 or there[2] > 0)
    return target, counts


def test_labelled_to_unlabelled_is_trained_towards_0_and_between_unlabelled_nothing(container, labels):
    mask = np.ones(SHAPE, np.uint8)
    mask[-2:] = 0
    batch, affs = batch_of(container(mask=mask))
    unlabeled = (labels > 0).astype(int)
    assert np.count_nonzero(batch[LABELS]) < np.count_nonzero(labels), "boundaries are grown"
    target, counts = expected(batch[LABELS], mask, unlabeled)
    np.testing.assert_array_equal(batch[affs.target], target)
    np.testing.assert_array_equal(batch[AFFS_MASK], counts)
    np.testing.assert_array_equal(batch[affs.weights] > 0, counts > 0)
    border = (labels[:, :, 2:] > 0) != (labels[:, :, 1:-1] > 0)
    assert counts[2][:-2, :, 2:][border[:-2]].all()
    assert not target[2][:, :, 2:][border].any()
    assert not counts[:, :, 10:, :2].any()


def test_one_balance_over_all_channels(container):
    batch, affs = batch_of(container())
    target, weights = batch[affs.target], batch[affs.weights]
    counted = weights > 0
    share = target[counted].mean()
    assert 0.05 < share < 0.95
    np.testing.assert_allclose(weights[counted & (target == 1)], 0.5 / share, rtol=1e-4)
    np.testing.assert_allclose(weights[counted & (target == 0)], 0.5 / (1 - share), rtol=1e-4)


def test_a_mask_of_255_says_the_same_as_one_of_1(container, labels):
    first, second = (batch_of(container(f"{value}.zarr", unlabeled=((labels > 0) * value).astype(np.uint8)))[0]
                     for value in (1, 255))
    for key, values in first.items():
        np.testing.assert_array_equal(values, second[key], err_msg=str(key))


def test_outputs_lie_where_enough_is_labelled(container, labels):
    sample, output = open_sample(DATASET, container()), (4, 4, 4)
    places = find_places(sample, output, (32, 32, 32), 0.1)
    share = [(labels[z:z + 4, y:y + 4, x:x + 4] > 0).sum() / 64
             for z, y, x in np.argwhere(places.allowed) + np.subtract(places.origin, sample.shift) if min(z, y, x) >= 0]
    assert min(share) >= 0.1
    dense = find_places(replace(sample, unlabeled_mask=None), output, (32, 32, 32), 0.1)
    assert dense.allowed.sum() > 1.5 * places.allowed.sum()


def test_outputs_of_batches_lie_where_enough_is_labelled(write_volume, tmp_path):
    """After all that asks for more on one side: affinities to voxels far behind."""
    labels = np.zeros((40, 40, 40), np.uint64)
    labels[10:18, 10:18, 10:18] = 5
    container = write_volume(tmp_path / "far.zarr", raw=np.full((80, 80, 80), 99, np.uint8), labels=labels, mask=None,
                             voxel_size=(33, 33, 33), inside=(20, 20, 20), dataset=DATASET)
    far = experiment(Affinities((*TARGET.neighborhood, (-27, 0, 0), (0, -27, 0), (0, 0, -27))))
    sample, shape = open_sample(DATASET, container), (28, 28, 28)
    places = find_places(sample, NETWORK.output_shape(shape), (32, 32, 32), 0.1)
    pipeline = batch_pipeline(far, DATASET, [(sample, places)], batch_size=10)
    with gp.build(pipeline):
        batch = pipeline.request_batch(batch_request(far, DATASET, shape, NETWORK.output_shape(shape)))
    shares = batch[UNLABELED].data.mean(axis=(1, 2, 3))
    assert (shares > 0.05).all(), shares  # a tenth, but for the voxel that rounding moves it by
    assert shares.max() < 0.9


def test_a_volume_without_the_mask_is_refused(container):
    made = container()
    assert open_sample(DATASET, made).unlabeled_mask is not None
    with pytest.raises(UserError, match="has no volumes/nowhere, which says where volumes/training_gt_labels is labelled"):
        open_sample(DATASET.model_copy(update={"unlabeled_mask": "volumes/nowhere"}), made)


@pytest.mark.parametrize("variance", [0.0, 0.01])
def test_the_pipeline_adds_noise_and_keeps_the_masks(container, variance):
    sample = open_sample(DATASET, container(raw=np.full((60, 80, 80), 128, np.uint8), inside=(24, 30, 30)))
    shape, noisy = (26, 26, 26), experiment(TARGET, gp.NoiseAugment(RAW, var=variance))
    places = find_places(sample, NETWORK.output_shape(shape), (32, 32, 32), 0.1)
    pipeline = batch_pipeline(noisy, DATASET, [(sample, places)], batch_size=2)
    with gp.build(pipeline):
        batch = pipeline.request_batch(batch_request(noisy, DATASET, shape, NETWORK.output_shape(shape)))
    assert batch[UNLABELED].data.shape == (2, *NETWORK.output_shape(shape))
    assert set(np.unique(batch[UNLABELED].data)) <= {0, 1}
    raw = batch[RAW].data  # in [-1, 1]: twice the noise
    np.testing.assert_allclose(raw.std(axis=(1, 2, 3)), 2 * variance**0.5, atol=0.01)
