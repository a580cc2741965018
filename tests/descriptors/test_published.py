"""Beside the published code (lsds), on real and on drawn labels."""

import numpy as np
import pytest

from lsd_experiments.descriptors import local_shape_descriptors
from lsd_experiments.descriptors.channels import COMPONENTS_2D

CASES = {
    "fib25": ((40, 48, 64), 80.0, (8, 8, 8), 1),
    "fib25, sampled": ((64, 64, 64), 80.0, (8, 8, 8), 2),
    "zebrafinch": ((24, 48, 48), 120.0, (20, 9, 9), 1),
    "zebrafinch, sampled": ((24, 64, 64), 120.0, (20, 9, 9), 2),
    "sigma per axis": ((20, 40, 48), (60.0, 80.0, 50.0), (20, 9, 9), 1),
    "2-D": ((64, 80), 80.0, (8, 8), 1),
    "2-D, sampled": ((64, 80), 80.0, (8, 8), 2),
}


CROP = (60, 8, 120)  # where the sample holds many objects


def published(labels, sigma, voxel_size, downsample, components=None):
    from lsd.train.local_shape_descriptor import LsdExtractor

    sigma = sigma if isinstance(sigma, tuple) else (sigma,) * 3
    return LsdExtractor(sigma, downsample=downsample).get_descriptors(labels, components, voxel_size=voxel_size)


def well_conditioned(lsds, shape, sigma, voxel_size):
    """[c, ...]: where the published code keeps its correlations to 1e-4.

    It subtracts squares of positions in float32: its covariances are good to some units in the last place of the square
    of the largest position.
    """
    good = np.ones(lsds.shape, bool)
    dims = len(shape)
    sigma = np.broadcast_to(np.array(sigma, float), (dims,))
    noise = 4 * np.finfo(np.float32).eps * (max(np.multiply(shape, voxel_size))) ** 2
    pairs = [(a, b) for a in range(dims) for b in range(a + 1, dims)]
    for channel, (a, b) in enumerate(pairs, 2 * dims):
        deviations = np.sqrt(lsds[dims + a] * lsds[dims + b]) * sigma[a] * sigma[b]
        good[channel] = noise < 2e-4 * deviations
    return good


def compare(labels, sigma, voxel_size, downsample, definition):
    """Everything within 1e-4; where the published code is ill conditioned, within 1e-4 of the definition instead."""
    lsds = local_shape_descriptors(labels, sigma, voxel_size, downsample)
    theirs = published(labels, sigma, voxel_size, downsample)
    missed = (lsds[-1] == 0) & (labels != 0)
    good = well_conditioned(lsds, labels.shape, sigma, voxel_size) & ~missed
    assert np.abs(lsds - theirs)[good].max() < 1e-4
    assert good.mean() > 0.9
    assert (theirs[-1][missed] == 1).all()  # the published code gives the full size to what it does not see
    differing = np.argwhere((np.abs(lsds - theirs) > 1e-4).any(axis=0))[:200]
    voxels = [tuple(voxel) for voxel in differing]
    if voxels:
        exact = definition(labels, sigma, voxel_size, downsample, voxels)
        assert np.abs(lsds[(slice(None), *differing.T)] - exact).max() < 1e-5
    return lsds, theirs, missed


@pytest.mark.real_data
@pytest.mark.parametrize("case", CASES)
def test_real_labels(case, real_labels, definition):
    shape, *arguments = CASES[case]
    crop = (slice(begin, begin + s) for begin, s in zip(CROP, (1, *shape)[-3:], strict=True))
    labels = real_labels[tuple(crop)].reshape(shape)
    assert len(np.unique(labels)) > 5
    compare(labels, *arguments, definition)


def test_drawn_labels(definition):
    # objects 1 and 2 share a diagonal boundary; 3 is one voxel thin; 4 lies between the sampled voxels
    z, y, x = np.indices((12, 16, 20))
    labels = np.where(y + x > 18, 1, np.where(z > 5, 2, 0)).astype(np.uint64)
    labels[:, 2, 3:9], labels[1, 5, 5] = 3, 4
    compare(labels, 60.0, (20, 9, 9), 1, definition)
    lsds, theirs, missed = compare(labels, 60.0, (20, 9, 9), 2, definition)
    assert np.argwhere(missed).tolist() == [[1, 5, 5]]
    assert np.abs(lsds - theirs)[:, 1, 5, 5].max() > 0.4


def test_notices_another_sigma():
    labels = np.kron(np.arange(1, 9).reshape(2, 2, 2), np.ones((5, 5, 5), int)).astype(np.uint64)
    lsds = local_shape_descriptors(labels, 45.0, (8, 8, 8))
    assert np.abs(lsds - published(labels, 40.0, (8, 8, 8), 1)).max() > 1e-2


@pytest.mark.real_data
@pytest.mark.parametrize("components", ["0", "012", "0129", "345", "678", "6789", "0126789", "012345678", "345678",
                                        "9"])
def test_components(components, real_labels):
    labels = real_labels[:24, :24, :24]
    arguments = labels, 40.0, (8, 8, 8), 2
    lsds, theirs = (f(*arguments, components) for f in (local_shape_descriptors, published))
    missed = (local_shape_descriptors(*arguments, "9")[0] == 0) & (labels != 0)
    whole = local_shape_descriptors(*arguments)
    good = well_conditioned(whole, labels.shape, 40.0, (8, 8, 8))[[int(c) for c in components]] & ~missed
    assert lsds.shape == theirs.shape
    assert np.abs(lsds - theirs)[good].max() < 1e-4


@pytest.mark.real_data
@pytest.mark.parametrize("components", ["01", "0125", "23", "4", "45", "0145", "01234", "234", "5"])
def test_components_in_two_dimensions(components, real_labels):
    labels = real_labels[3, :32, :32]
    lsds, theirs = (f(labels, 40.0, (8, 8), 1, components) for f in (local_shape_descriptors, published))
    whole = local_shape_descriptors(labels, 40.0, (8, 8))
    good = well_conditioned(whole, labels.shape, 40.0, (8, 8))[[int(c) for c in components]]
    assert len(COMPONENTS_2D) == len(whole)
    assert np.abs(lsds - theirs)[good].max() < 1e-4
