"""Ids and masks of all types: what is taken, and what is refused."""

import json

import numpy as np
import pytest

from lsd_experiments.arrays import as_mask, check_ids, check_labels, create_volume, open_volume, read_ids, read_mask
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box

VOXEL_SIZE, OFFSET, SHAPE = (40.0, 10.0, 4.6), (120.0, -30.0, 13.8), (5, 7, 9)
SIGNED = ("int8", "int16", "int32", "int64")


@pytest.fixture
def write(tmp_path):
    """A function that writes [z, y, x] of any type, and opens it."""

    def write(values, dataset="volumes/labels"):
        made = create_volume(tmp_path / "a.zarr", dataset, values.shape, VOXEL_SIZE, OFFSET, values.dtype, chunks=(2, 3, 4))
        made.array[:] = values
        return open_volume(tmp_path / "a.zarr", dataset)

    return write


def ids(dtype):
    values = np.ones(SHAPE, dtype)
    values[0] = 0
    return values


@pytest.mark.parametrize("dtype", SIGNED)
def test_a_negative_id_is_named_with_its_place_and_what_excludes_it(write, dtype):
    values = ids(dtype)
    values[3, 4, 5], values[4, 6, 8] = -1, -7
    volume = write(values)
    with pytest.raises(UserError, match=r"a.zarr:volumes/labels: holds the id -1 at voxel \(3, 4, 5\), \(240, 10, 36.8\) nm; ids "
                                        r"are not negative\. .*convert.py .*--exclude -7 -1 --dtype uint64"):
        read_ids(volume)
    with pytest.raises(UserError, match="holds the id -1 at voxel"):
        check_ids(volume)
    np.testing.assert_array_equal(read_ids(volume, Box((0, 0, 0), (3, 7, 9))), values[:3])  # no block with -1 is read


def test_the_place_is_that_in_the_whole_volume(write, tmp_path):
    values = ids("int32")
    values[3, 4, 5] = -1
    write(values)
    crop = tmp_path / "crop.json"
    place = {"offset": [160, -10, 18.4], "size": [160, 50, 36.8]}
    crop.write_text(json.dumps({"container": "a.zarr", "dataset": "volumes/labels", **place}))
    with pytest.raises(UserError, match=r"holds the id -1 at voxel \(3, 4, 5\), \(240, 10, 36.8\) nm"):
        read_ids(open_volume(crop), Box((1, 0, 0), (4, 5, 8)))


def test_where_a_mask_is_0_a_negative_id_is_0(write):
    values = ids("int64")
    values[3, 4, 5] = -1
    volume, mask = write(values), np.full(SHAPE, 256, np.uint16)
    mask[3, 4, 5] = 0
    expected = np.where(values < 0, 0, values)
    masks = [write(mask, "volumes/mask")]
    np.testing.assert_array_equal(read_ids(volume, masks=masks), expected)
    check_ids(volume, masks)
    mask[3, 4, 5], mask[3, 4, 4] = 256, 0  # beside it
    with pytest.raises(UserError, match="holds the id -1"):
        read_ids(volume, masks=[write(mask, "volumes/other")])


@pytest.mark.parametrize("highest", [2**53 + 1, 2**63 - 1, 2**63 + 1, 2**64 - 3, 2**64 - 2, 2**64 - 1])
def test_great_ids_are_exact(write, highest):
    values = ids(np.uint64)
    values[1, 2, 3] = highest
    volume = write(values)
    check_labels(volume)
    check_ids(volume)
    assert int(read_ids(volume)[1, 2, 3]) == highest
    assert read_ids(volume).dtype == np.uint64


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "uint64", *SIGNED])
def test_integers_are_labels(write, dtype):
    check_labels(write(ids(dtype)))


@pytest.mark.parametrize("dtype", ["bool", "float16", "float32", "float64"])
def test_what_is_no_label_says_what_converts_it(write, dtype):
    with pytest.raises(UserError, match=rf"is of type {dtype}; labels are integers.*convert.py \S*a.zarr volumes/labels "
                                        r"\S*a_converted.zarr volumes/labels --dtype uint64"):
        check_labels(write(ids(dtype)))


@pytest.mark.parametrize(("dtype", "value"), [
    ("bool", 1), ("uint8", 1), ("uint8", 255), ("uint16", 256), ("uint32", 65536), ("uint64", 2**63), ("int64", 2**32),
    ("int8", -1), ("int64", -1), ("float32", 1), ("float32", 0.25), ("float64", -0.5),
])
def test_a_mask_of_any_type_counts_where_it_is_not_0(write, dtype, value):
    values = np.zeros(SHAPE, dtype)
    values[1:3, 2, 3:5] = value
    expected = np.zeros(SHAPE, bool)
    expected[1:3, 2, 3:5] = True
    np.testing.assert_array_equal(as_mask(values), expected)
    volume = write(values)
    np.testing.assert_array_equal(read_mask(volume), expected)
    np.testing.assert_array_equal(read_mask(volume, Box((-1, 0, 0), (6, 7, 9))), np.pad(expected, [(1, 1), (0, 0), (0, 0)]))


def test_a_mask_with_what_is_no_number(write):
    values = np.ones(SHAPE, np.float32)
    values[1, 2, 3] = np.nan
    with pytest.raises(UserError, match=r"a.zarr:volumes/labels: the value at \(1, 2, 3\) .* is not a number"):
        read_mask(write(values))
