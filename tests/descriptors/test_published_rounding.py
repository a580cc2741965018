"""The descriptors of ``parity``: those of lsds to 1e-5, where that is ill conditioned, too."""

import numpy as np
import pytest

from lsd_experiments.descriptors import local_shape_descriptors
from lsd_experiments.descriptors.published import published_descriptors
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box

SHAPE, ROI = (33, 46, 52), Box((6, 10, 12), (26, 38, 44))


def lsds(labels, sigma, voxel_size, downsample, roi):
    import gunpowder as gp
    from lsd.train.local_shape_descriptor import LsdExtractor

    extractor = LsdExtractor((sigma,) * 3, downsample=downsample)
    return extractor.get_descriptors(labels, voxel_size=voxel_size, roi=gp.Roi(roi.begin, roi.shape))


@pytest.fixture
def labels():
    """Large objects, flat ones, a line and a voxel between the sampled ones, one object that leaves the array, great ids."""
    random = np.random.default_rng(2)
    coarse = random.integers(0, 4, tuple(-(-s // 11) for s in SHAPE))
    labels = coarse.repeat(11, 0).repeat(11, 1).repeat(11, 2)[tuple(slice(s) for s in SHAPE)].astype(np.uint64)
    labels[15], labels[:, 21], labels[11, 13, 15:40] = 7, 2**63 + 1, 9
    labels[17, 25, 31] = 10
    return labels


@pytest.mark.parametrize(("sigma", "voxel_size", "downsample"), [(80, (8, 8, 8), 2), (120, (20, 9, 9), 2), (45.5, (20, 9, 9), 1)])
def test_they_are_those_of_lsds(labels, sigma, voxel_size, downsample):
    expected = lsds(labels, sigma, voxel_size, downsample, ROI)
    found = published_descriptors(labels, sigma, voxel_size, downsample, ROI)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    ours = local_shape_descriptors(labels[:32], sigma, voxel_size, downsample, roi=ROI)
    assert np.abs(ours - expected).max() > 0.1  # rounding, and what the sampling misses


def test_nothing_but_background():
    assert not published_descriptors(np.zeros(SHAPE, np.uint64), 80, (8, 8, 8), 2, ROI).any()


@pytest.mark.parametrize("roi", [Box((5, 10, 12), (25, 38, 44)), Box((6, 10, 12), (26, 38, 43))])
def test_a_part_off_the_samples_is_refused(labels, roi):
    """As by lsds, which stops with an assertion."""
    with pytest.raises(UserError, match=r"neither may leave a remainder by 2\. Take another --input-shape, or train without"):
        published_descriptors(labels, 80, (8, 8, 8), 2, roi)
    with pytest.raises(AssertionError):
        lsds(labels, 80, (8, 8, 8), 2, roi)
