"""Every voxel is predicted once, whatever the volume's size, by the scan and by any number of workers alike."""

import numpy as np
import pytest

from lsd_experiments.arrays import open_volume
from lsd_experiments.blockwise import Workers
from lsd_experiments.prediction.blockwise import predict_blockwise, predict_scan

SIZES = {  # of blocks of (3, 8, 10)
    "smaller, equal, one voxel more": (2, 8, 11),
    "one voxel more, smaller, equal": (4, 7, 10),
    "equal, one voxel more, smaller": (3, 9, 5),
    "primes": (7, 13, 23),
    "one voxel": (1, 1, 1),
}


def block_of(shape):
    """Blocks are as in config.json, or smaller if that covers all: sizes are 1, 2 ... in z, 2, 5, 8 in y, 2, 4 ... in x."""
    z, y, x = shape
    return min(z, 3), min(y + (2 - y) % 3, 8), min(x + x % 2, 10)


@pytest.mark.parametrize("shape", SIZES.values(), ids=SIZES)
def test_the_scan_is_the_prediction_of_padded_raw(shape, make_raw, plan, expected, read, tmp_path):
    raw = open_volume(make_raw(shape), "volumes/raw").read()
    assert predict_scan(plan(make_raw(shape)))
    given, wanted = read(tmp_path / "prediction.zarr"), expected(raw, output_shape=block_of(shape))
    other = expected(raw, output_shape=block_of(shape), constant_values=128)
    for name in ("affs", "lsds"):
        assert given[name].shape[1:] == shape
        np.testing.assert_array_equal(given[name], wanted[name])
        assert not np.array_equal(given[name], other[name])  # the zeros around raw do matter


def test_the_grid_of_blocks_matters(make_raw, expected):
    """Negative control: a scan that covers by another grid would be noticed."""
    raw = open_volume(make_raw((7, 13, 23)), "volumes/raw").read()
    one, other = expected(raw), expected(raw, output_shape=(3, 5, 10))
    assert one["affs"].std() > 30
    assert not np.array_equal(one["affs"], other["affs"])


@pytest.mark.parametrize(("shape", "num_workers"), [((2, 8, 11), 1), ((7, 13, 23), 2)])
def test_workers_and_scan_agree(shape, num_workers, make_raw, plan, read, tmp_path):
    scanned, worked = tmp_path / "scanned.zarr", tmp_path / "worked.zarr"
    assert predict_scan(plan(make_raw(shape), scanned))
    assert predict_blockwise(plan(make_raw(shape), worked), Workers(num_workers=num_workers))
    for name, values in read(scanned).items():
        np.testing.assert_array_equal(read(worked)[name], values)
        assert values.std() > 10


def test_scan_and_workers_take_turns(make_raw, plan, read, tmp_path):
    """Both finish what the other one began, since they make the same blocks."""
    first = plan(make_raw((7, 13, 23)))
    assert predict_scan(first)
    assert not predict_blockwise(first, Workers(num_workers=2))
    before = read(tmp_path / "prediction.zarr")
    assert predict_scan(first, overwrite=True)
    for name, values in read(tmp_path / "prediction.zarr").items():
        np.testing.assert_array_equal(values, before[name])
