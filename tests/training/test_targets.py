"""What the heads are trained towards: against gunpowder's nodes, the descriptors, and definitions written out."""

from pathlib import Path

import gunpowder as gp
import numpy as np
import pytest

from lsd_experiments.datasets import load_dataset
from lsd_experiments.descriptors import local_shape_descriptors
from lsd_experiments.geometry import Box
from lsd_experiments.targets import DIRECT, Affinities, LocalShapeDescriptors
from lsd_experiments.training.boundaries import GrowBoundary, grow_boundary
from lsd_experiments.training.keys import LABELS, LABELS_MASK, head_keys

DATASET = load_dataset(Path(__file__).parents[2] / "02_train" / "zebrafinch")
UNIT = gp.Coordinate(20, 9, 9)
AFFS, AFFS_MASK = head_keys("affs"), head_keys("affs").mask
SHAPE = (20, 44, 50)


class Source(gp.BatchProvider):
    """Labels and their mask, [z, y, x] each, from the origin on."""

    def __init__(self, labels, mask):
        self.arrays = {LABELS: labels, LABELS_MASK: mask}

    def setup(self):
        for key, array in self.arrays.items():
            roi = gp.Roi((0, 0, 0), gp.Coordinate(array.shape) * UNIT)
            self.provides(key, gp.ArraySpec(roi=roi, voxel_size=UNIT, interpolatable=False, dtype=array.dtype))

    def provide(self, request):
        batch = gp.Batch()
        for key, spec in request.array_specs.items():
            whole = self.spec[key].copy()
            box = (spec.roi / UNIT).to_slices()
            whole.roi = spec.roi
            batch[key] = gp.Array(self.arrays[key][box].copy(), whole)
        return batch


def request(keys, begin, shape):
    asked = gp.BatchRequest(random_seed=1)
    for key in keys:
        asked[key] = gp.ArraySpec(roi=gp.Roi(begin, shape) * UNIT)
    return asked


def run(node, labels, mask, keys, box):
    with gp.build(Source(labels, mask) + node) as pipeline:
        batch = pipeline.request_batch(request(keys, box.begin, box.shape))
    return {key: batch[key].data for key in keys}


def blobs(seed, shape=SHAPE, first=1):
    """Boxes of labels that touch each other and background."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 5, tuple(-(-s // 4) for s in shape))
    fine = coarse.repeat(4, 0).repeat(4, 1).repeat(4, 2)[tuple(slice(s) for s in shape)].astype(np.uint64)
    return np.where(fine > 0, fine + np.uint64(first - 1), np.uint64(0))


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("only_xy", [False, True])
def test_grow_boundary_equals_gunpowders(seed, masked, only_xy):
    labels, mask = blobs(seed), np.ones(SHAPE, np.uint8)
    if masked:
        mask[:, :13] = mask[7:9] = 0
    box = Box.of_shape(SHAPE)
    theirs = gp.GrowBoundary(LABELS, LABELS_MASK, steps=1, only_xy=only_xy)
    expected = run(theirs, labels, mask, (LABELS, LABELS_MASK), box)[LABELS]
    found = run(GrowBoundary((1, 2) if only_xy else (0, 1, 2)), labels, mask, (LABELS, LABELS_MASK), box)[LABELS]
    inside = mask > 0  # masked-out labels become any label's neighbour there, and here stay what they are
    np.testing.assert_array_equal(found[inside], expected[inside])
    assert np.count_nonzero(found) < np.count_nonzero(labels)
    np.testing.assert_array_equal(found[~inside], labels[~inside])
    assert found.dtype == np.uint64


def test_grow_boundary_of_a_row():
    labels = np.array([1, 1, 1, 2, 2, 2, 0, 3, 3, 3, 3], np.uint64).reshape(1, 1, -1)
    mask = np.ones_like(labels, np.uint8)
    assert grow_boundary(labels, mask, (0, 1, 2)).ravel().tolist() == [1, 1, 0, 0, 2, 0, 0, 0, 3, 3, 3]
    assert grow_boundary(labels, mask, (0, 1)).ravel().tolist() == labels.ravel().tolist()
    mask[..., 6] = 0  # what the mask leaves out takes nothing off its neighbours
    assert grow_boundary(labels, mask, (2,)).ravel().tolist() == [1, 1, 0, 0, 2, 2, 0, 3, 3, 3, 3]


def test_grow_boundary_reads_the_mask_as_far_as_the_labels():
    """LSDs look at labels around the output: boundaries are grown there, too."""
    labels, mask = blobs(3), np.ones(SHAPE, np.uint8)
    expected = grow_boundary(labels, mask, (1, 2))
    asked = gp.BatchRequest()
    asked[LABELS] = gp.ArraySpec(roi=gp.Roi((0, 0, 0), SHAPE) * UNIT)
    asked[LABELS_MASK] = gp.ArraySpec(roi=gp.Roi((8, 16, 16), (4, 8, 8)) * UNIT)
    with gp.build(Source(labels, mask) + GrowBoundary((1, 2))) as pipeline:
        batch = pipeline.request_batch(asked)
    np.testing.assert_array_equal(batch[LABELS].data, expected)
    assert batch[LABELS_MASK].data.shape == (4, 8, 8)


OUTPUT = Box((8, 18, 22), (12, 26, 28))


SIGMA = 40  # a window that fits into the test's volume: 3 sigma are 6, 12, 12 voxels


@pytest.mark.parametrize("rule", ["labels_mask", "foreground_or_masked_out", "foreground"])
def test_lsds_and_their_weights(rule):
    labels, mask = blobs(4), np.ones(SHAPE, np.uint8)
    mask[10:] = 0
    keys = head_keys("lsds")
    nodes = LocalShapeDescriptors(SIGMA, rule).nodes(DATASET, parity=False)
    found = run(nodes, labels, mask, (keys.target, keys.weights, LABELS), OUTPUT)
    assert found[keys.target].shape == (10, *OUTPUT.shape)
    expected = local_shape_descriptors(labels, 40, (20, 9, 9), 2, roi=OUTPUT)
    np.testing.assert_allclose(found[keys.target], expected, atol=1e-5)
    inside, here = mask[OUTPUT.slices] > 0, labels[OUTPUT.slices] > 0
    assert 0 < here[inside].mean() < 1
    weights = {"labels_mask": inside, "foreground": here, "foreground_or_masked_out": here | ~inside}[rule]
    np.testing.assert_array_equal(found[keys.weights], np.broadcast_to(weights, (10, *OUTPUT.shape)))
    assert found[keys.weights].dtype == np.float32
    assert not found[keys.target][:, ~here].any()


@pytest.mark.parametrize("shape", [(3, 7, 5), (1, 1, 1), (4, 7, 6)])
def test_lsds_of_an_output_that_downsampling_does_not_divide(shape):
    """As those of a larger output, on the same grid of every second voxel."""
    labels, mask = blobs(5), np.ones(SHAPE, np.uint8)
    keys = head_keys("lsds")
    box = Box.of_shape(shape, (8, 18, 22))
    found = run(LocalShapeDescriptors(SIGMA).nodes(DATASET, parity=False), labels, mask, (keys.target, keys.weights), box)
    whole = local_shape_descriptors(labels, 40, (20, 9, 9), 2, roi=Box((8, 18, 22), (12, 26, 28)))
    np.testing.assert_allclose(found[keys.target], whole[:, *(slice(s) for s in shape)], atol=1e-5)
    assert found[keys.weights].shape == (10, *shape)


def affinities(labels, neighborhood, box):
    """By definition: 1 where a voxel and its neighbour carry the same non-zero label."""
    result = np.zeros((len(neighborhood), *box.shape), np.uint8)
    for channel, offset in enumerate(neighborhood):
        here, there = labels[box.slices], labels[box.shift(offset).slices]
        result[channel] = (here == there) & (here > 0)
    return result


FAR = (*DIRECT, (-5, 0, 0), (0, -9, 0), (0, 0, -9), (-15, 0, 0), (0, -27, 0), (0, 0, -27))


@pytest.mark.parametrize("neighborhood", [DIRECT, FAR], ids=["direct", "far"])
@pytest.mark.parametrize("masked", [True, False])
def test_affinities_and_balanced_weights(masked, neighborhood):
    shape = (40, 60, 60)
    labels, mask = blobs(6, shape), np.ones(shape, np.uint8)
    mask[:, :, :33] = 0
    box = Box((16, 28, 28), (20, 36, 38))
    target = Affinities(neighborhood, masked)
    found = run(target.nodes(DATASET, parity=False), labels, mask, (AFFS.target, AFFS.weights, AFFS_MASK), box)
    expected = affinities(labels, neighborhood, box)
    np.testing.assert_array_equal(found[AFFS.target], expected)
    both_inside = affinities(mask, neighborhood, box)
    np.testing.assert_array_equal(found[AFFS_MASK], both_inside)
    counted = both_inside if masked else np.ones_like(both_inside)
    ones = np.clip(expected[counted > 0].mean(), 0.05, 0.95)  # over all channels together
    zeros = np.clip(1 - expected[counted > 0].mean(), 0.05, 0.95)
    weights = counted * np.where(expected, 1 / (2 * ones), 1 / (2 * zeros))
    np.testing.assert_allclose(found[AFFS.weights], weights, rtol=1e-5)
    assert 0 < both_inside.mean() < 1


def test_a_rule_of_the_descriptors_weights_that_there_is_not():
    with pytest.raises(AssertionError, match="counted is 'background', none of"):
        LocalShapeDescriptors(SIGMA, "background")
