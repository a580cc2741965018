"""Whether values are an image or ids."""

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from lsd_experiments.arrays import Volume
from lsd_experiments.arrays.looks import is_ids, is_image
from lsd_experiments.geometry import Box

SHAPE = (20, 300, 300)


def volume(values):
    return Volume("volume", "values", values, (40.0, 4.0, 4.0), (0.0, 0.0, 0.0), Box.of_shape(values.shape))


@pytest.fixture
def noise():
    return np.random.default_rng(0).integers(0, 256, SHAPE).astype(np.uint8)


@pytest.mark.parametrize("blank", [np.s_[:0], np.s_[:, 80:220, 80:220], np.s_[:, :, :150], np.s_[:, 150:]])
def test_an_image_that_is_blank_in_its_middle_or_half_is_one(noise, blank):
    noise[blank] = 255
    assert is_image(volume(noise))
    assert not is_ids(volume(noise))


def test_blank_or_few_values_are_no_image(noise):
    for values in (np.zeros(SHAPE, np.uint8), noise // 32, noise.repeat(2, axis=2)[:, :, :300]):
        assert not is_image(volume(values))


def test_small_objects_are_ids(noise):
    """Of some 10 voxels each."""
    seeds = np.random.default_rng(1).random(SHAPE) < 0.1
    nearest = distance_transform_edt(~seeds, return_distances=False, return_indices=True)
    labels = np.arange(seeds.size, dtype=np.uint64).reshape(SHAPE)[tuple(nearest)]
    assert not is_image(volume(labels))
