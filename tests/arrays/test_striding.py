"""Every n-th voxel of a volume."""

import numpy as np
import pytest

from lsd_experiments.arrays import create_volume, open_volume
from lsd_experiments.arrays.striding import strided
from lsd_experiments.geometry import Box

VOXEL_SIZE, OFFSET, SHAPE = (40, 33, 4.6), (80, -99, 13.8), (7, 13, 20)


@pytest.fixture(params=[None, 2], ids=["labels", "channels"])
def stored(request, tmp_path):
    """A volume, and its voxels."""
    leading = () if request.param is None else (request.param,)
    values = np.random.default_rng(0).integers(0, 2**60, (*leading, *SHAPE), np.uint64)
    volume = create_volume(tmp_path / "a.zarr", "v", SHAPE, VOXEL_SIZE, OFFSET, "uint64", channels=request.param,
                           chunks=(3, 4, 8), attrs={"provenance": {"key": "of all voxels"}, "finished": "now"})
    volume.write(volume.box, values)
    return open_volume(tmp_path / "a.zarr", "v"), values


@pytest.mark.parametrize("factors", [(1, 1, 1), (3, 3, 3), (2, 5, 1), (9, 14, 21)])
def test_every_nth_voxel_block_by_block(stored, factors):
    volume, values = stored
    sampled = strided(volume, factors)
    expected = values[..., ::factors[0], ::factors[1], ::factors[2]]
    assert (sampled.shape, sampled.dtype, sampled.channels) == (expected.shape[-3:], np.uint64, volume.channels)
    assert sampled.voxel_size == tuple(v * f for v, f in zip(VOXEL_SIZE, factors, strict=True))
    assert sampled.offset == OFFSET
    np.testing.assert_array_equal(sampled.read(), expected)
    for box in sampled.box.blocks((2, 3, 4)):  # the last ones reach over the end
        inside = box.intersect(sampled.box)
        np.testing.assert_array_equal(sampled.read(inside), expected[(..., *inside.slices)])
    assert not sampled.attrs


def test_of_a_part(stored):
    """From the first voxel of the part on; a part of it is as good."""
    volume, values = stored
    sampled = strided(volume.crop(Box((1, 2, 3), (7, 12, 20))), (3, 3, 3))
    expected = values[..., 1::3, 2:12:3, 3::3]
    np.testing.assert_array_equal(sampled.read(), expected)
    assert sampled.offset == (120, -33, pytest.approx(27.6))
    np.testing.assert_array_equal(sampled.crop(Box((1, 1, 2), (2, 4, 5))).read(), expected[..., 1:2, 1:4, 2:5])
    assert not (sampled.read() == values[..., ::3, 2:12:3, ::3][..., :2, :, :6]).all()  # negative control
