"""A volume on another voxel grid: against its definition, voxel by voxel, and by what a ramp must stay."""

import math

import numpy as np
import pytest

from lsd_experiments.arrays import create_volume, open_volume, resampling
from lsd_experiments.arrays.resampling import is_on_grid, resampled
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box

FINE = 400
VOXEL_SIZE, OFFSET, SHAPE = (40, 12, 4.6), (80, -99, 13.8), (7, 13, 22)
SIZES = {
    "whole": (80, 36, 9.2), "finer": (20, 4, 2.3), "neither": (50, 31.7, 7.1), "other ways": (33, 24, 1.9),
    "one axis": (40, 12, 8), "few": (90, 150, 13),
}


@pytest.fixture
def store(tmp_path):
    """A function that stores values [z, y, x] or [c, z, y, x] and opens them."""
    def store(values, **how):
        channels = len(values) if values.ndim == 4 else None
        volume = create_volume(
            tmp_path / "a.zarr", "v", values.shape[-3:], how.get("voxel_size", VOXEL_SIZE), OFFSET, values.dtype,
            channels=channels, chunks=(3, 4, 8), attrs={"provenance": {"key": "of these voxels"}}, overwrite=True)
        volume.write(volume.box, values)
        return open_volume(tmp_path / "a.zarr", "v")
    return store


def centres(volume, axis):
    """nm, of all voxels along an axis."""
    return volume.offset[axis] + (np.arange(volume.shape[axis]) + 0.5) * volume.voxel_size[axis]


def along(values, axis, source, new):
    """``values`` with another ``axis``, each voxel by itself, as the module says."""
    old, size = source.voxel_size[axis], new.voxel_size[axis]
    there = (centres(new, axis) - source.offset[axis]) / old
    is_mean = math.isclose(size / old, round(size / old)) and round(size / old) >= 2
    found = []
    for centre in there:
        total, weights = 0, 0
        for voxel in range(source.shape[axis]):
            apart = abs(voxel + 0.5 - centre)
            if is_mean:
                weight = float(apart < size / old / 2 - 1e-6)
            elif size > old:  # the mean of linear interpolation, by a sum over many places
                places = centre + (np.arange(FINE) + 0.5 - FINE / 2) / FINE * size / old
                weight = np.maximum(0, 1 - np.abs(voxel + 0.5 - places)).mean()
            else:
                weight = max(0.0, 1 - apart)
            total, weights = total + weight * np.take(values, voxel, axis), weights + weight
        found.append(total / weights)
    return np.stack(found, axis)


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.uint16])
def test_raw_is_as_defined(store, size, dtype):
    values = (np.random.default_rng(0).random(SHAPE) * (250 if dtype != np.float32 else 1)).astype(dtype)
    source = store(values)
    new = resampled(source, size, "raw")
    expected = values.astype(np.float64)
    for axis in range(3):
        expected = along(expected, axis, source, new)
    assert (new.voxel_size, new.offset, new.dtype, new.attrs) == (size, OFFSET, values.dtype, {})
    assert new.shape == tuple(sum(1 for k in range(200) if (k + 0.5) * s < n * v - 1e-6)
                              for n, v, s in zip(SHAPE, VOXEL_SIZE, size, strict=True))
    if dtype == np.float32:
        np.testing.assert_allclose(new.read(), expected, rtol=1e-4)
    else:
        assert np.abs(new.read() - expected).max() <= 0.5 + 1e-2


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("place", [None, (0, 0, 0), (100.3, 7, -5)])
def test_a_ramp_stays_where_it_is(store, size, place):
    """Half-voxel translations: raw that is its place in the world is so on any grid, where weights are whole."""
    nm = [OFFSET[axis] + (np.arange(n) + 0.5) * v for axis, (n, v) in enumerate(zip(SHAPE, VOXEL_SIZE, strict=True))]
    values = np.stack(np.meshgrid(*nm, indexing="ij")).astype(np.float32)
    source = store(values)
    new = resampled(source, size, "raw", place)
    found = new.read()
    for axis in range(3):
        reach = size[axis] / 2 + VOXEL_SIZE[axis]
        there = centres(new, axis)
        inside = (there > OFFSET[axis] + reach) & (there < source.end[axis] - reach)
        expected = np.expand_dims(there[inside], [a for a in range(3) if a != axis])
        got = np.compress(inside, found[axis], axis)
        np.testing.assert_allclose(got, np.broadcast_to(expected, got.shape), atol=1e-3)
        through = 0 if place is None else place[axis] - OFFSET[axis]
        apart = (there[0] - OFFSET[axis] - through) / size[axis] - 0.5
        assert apart == pytest.approx(round(apart), abs=1e-6)  # on the grid
        assert OFFSET[axis] <= there[0] + 1e-6
        assert there[0] < OFFSET[axis] + size[axis]  # the first whose centre lies inside
        assert there[-1] < source.end[axis] <= there[-1] + size[axis] + 1e-6


@pytest.mark.parametrize("kind", ["raw", "labels"])
@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_any_block_grid_gives_the_same_bits(store, kind, size, monkeypatch):
    values = np.random.default_rng(1).random((2, *SHAPE)).astype(np.float32)
    new = resampled(store(values), size, kind, (7, 11, 1))
    whole = new.read()
    for shape in ((3, 5, 7), (4, 1, 40)):
        for box in new.box.blocks(shape):
            inside = box.intersect(new.box)
            np.testing.assert_array_equal(new.read(inside), whole[(..., *inside.slices)])
    for piece in (100, 900):
        monkeypatch.setattr(resampling, "PIECE", piece)
        np.testing.assert_array_equal(new.read(), whole)
    part = new.crop(Box((0, 0, 1), new.shape)) if new.shape[2] > 1 else new
    np.testing.assert_array_equal(part.read(), whole[..., new.shape[2] - part.shape[2]:])


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_labels_are_those_of_the_voxel_that_a_centre_lies_in(store, size):
    values = np.random.default_rng(2).integers(0, 2**63, SHAPE, np.uint64)
    source = store(values)
    new = resampled(source, size, "labels", (3, 1, 2))
    index = np.ix_(*(np.floor((centres(new, axis) - OFFSET[axis]) / VOXEL_SIZE[axis] + 1e-9).astype(int) for axis in range(3)))
    np.testing.assert_array_equal(new.read(), values[index])
    assert set(np.unique(new.read())) <= set(np.unique(values))  # no id is made up


def test_fine_patterns_are_averaged_not_sampled(store):
    """Anti-aliasing: lines of one voxel become grey; every other voxel of them is black, or white, alone."""
    values = np.zeros((4, 8, 24), np.uint8)
    values[..., ::2] = 255
    source = store(values, voxel_size=(40, 12, 4))
    for size in ((40, 12, 8), (40, 12, 16), (40, 12, 13.3)):
        read = resampled(source, size, "raw").read()[..., 1:-1]
        assert np.abs(read.astype(int) - 128).max() <= 35
    assert set(np.unique(resampled(source, (40, 12, 8), "labels").read())) == {0}


def test_a_volume_that_is_too_small_is_refused(store):
    with pytest.raises(UserError, match=r"a.zarr:v: \(7, 13, 22\) voxels of .* are too few .* \(40, 320, 4.6\) nm"):
        resampled(store(np.zeros(SHAPE, np.uint8)), (40, 320, 4.6), "raw")


def test_what_lies_on_the_grid_is_left_as_it_is(store):
    volume = store(np.zeros(SHAPE, np.uint8))
    assert resampled(volume, (40, 12, 4.6001), "raw") is volume
    assert resampled(volume, VOXEL_SIZE, "raw", (0, 9, -4.6)) is volume
    assert not is_on_grid(volume, VOXEL_SIZE, (20, 9, -4.6))
    half = resampled(volume, VOXEL_SIZE, "raw", (20, 9, -4.6))
    assert half.offset == (60, -99, pytest.approx(13.8))  # whose centre lies on the volume's edge
    assert half.shape == (7, 13, 22)
