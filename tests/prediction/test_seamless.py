"""Seamless blocks: a voxel's prediction does not depend on where blocks lie. The network's stride is (1, 3, 2)."""

import numpy as np
import pytest

from lsd_experiments.arrays import open_volume
from lsd_experiments.blockwise import Workers
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box
from lsd_experiments.prediction.blockwise import predict_blockwise, predict_scan
from lsd_experiments.prediction.passes import lead_of, seamless_input_for, seamless_shape

SHAPE = (7, 23, 31)
VOXEL_SIZE, OFFSET = np.array((50, 9, 4.6)), np.array((100, -27, 13.8))  # raw begins at voxel (2, -3, 3) of the world
INPUT_SHAPES = [(15, 28, 26), (17, 34, 30)]


def roi(begin, shape):
    return {"roi_offset": tuple(OFFSET + VOXEL_SIZE * begin), "roi_shape": tuple(VOXEL_SIZE * shape)}


@pytest.fixture
def predicted(make_raw, plan, read, tmp_path):
    """A function that scans raw and gives all outputs."""
    def scan(name, **settings):
        assert predict_scan(plan(make_raw(SHAPE), tmp_path / name, **settings))
        return read(tmp_path / name)
    return scan


def test_the_arithmetic(network):
    assert network.stride == (1, 3, 2)
    assert lead_of(network, (2, -3, 3)) == (0, 0, 1)
    assert lead_of(network, (3, -2, 4)) == (0, 1, 0)
    assert seamless_shape(network, (15, 28, 26), (0, 0, 1)) == (3, 6, 8)  # of an output of (3, 8, 10)
    assert seamless_shape(network, (15, 28, 26), (0, 2, 0)) == (3, 6, 10)
    assert seamless_shape(network, (15, 25, 26), (0, 2, 0)) == (3, 3, 10)
    assert seamless_input_for(network, (2, 5, 7), (0, 2, 1)) == (14, 28, 26)
    with pytest.raises(UserError, match=r"its output, \(3, 2, 10\), is too small for seamless blocks. Take at least"):
        seamless_shape(network, (15, 22, 26), (0, 0, 0))


def test_the_plan(make_raw, plan):
    planned = plan(make_raw(SHAPE), seamless=True, **roi((1, 4, 5), (5, 17, 20)))
    assert planned.passes[-1].lead == (0, 1, 0)  # voxel (3, 1, 8) of the world
    assert planned.write_shape == (3, 6, 10)
    assert planned.total == Box((1, 4, 5), (6, 21, 25))
    assert planned.provenance()["parameters"]["seamless"] is True
    assert "seamless" not in plan(make_raw(SHAPE)).provenance()["parameters"]


@pytest.mark.parametrize("begin", [(0, 0, 0), (1, 4, 5), (2, 5, 6)])
def test_no_block_grid_is_seen(begin, predicted):
    whole = predicted("whole.zarr", seamless=True, input_shape=INPUT_SHAPES[0])
    shape = tuple(s - b for s, b in zip(SHAPE, begin, strict=True))
    part = predicted("part.zarr", seamless=True, input_shape=INPUT_SHAPES[1], **roi(begin, shape))
    (z, y, x) = begin
    for name, values in part.items():
        assert values.std() > 10
        np.testing.assert_array_equal(values, whole[name][:, z:, y:, x:])


def test_without_it_the_grid_is_seen(predicted):
    first, second = (predicted(f"{shape}.zarr", input_shape=shape) for shape in INPUT_SHAPES)
    assert any(not np.array_equal(first[name], second[name]) for name in first)


def test_it_is_one_block_of_raw_in_phase(make_raw, predicted, expected):
    """The whole as one large block whose output begins at a multiple of the stride, as the definition says."""
    raw = open_volume(make_raw(SHAPE), "volumes/raw").read()
    given = predicted("seamless.zarr", seamless=True)
    wanted = expected(np.pad(raw, ((0, 0), (0, 0), (1, 0))), output_shape=(7, 23, 32))  # the lead: one voxel of zeros in x
    for name, values in given.items():
        np.testing.assert_array_equal(values, wanted[name][:, :, :, 1:])


def test_workers_and_scan_agree(make_raw, plan, predicted, read, tmp_path):
    scanned = predicted("scan.zarr", seamless=True)
    assert predict_blockwise(plan(make_raw(SHAPE), tmp_path / "workers.zarr", seamless=True), Workers(num_workers=2))
    for name, values in read(tmp_path / "workers.zarr").items():
        np.testing.assert_array_equal(values, scanned[name])
