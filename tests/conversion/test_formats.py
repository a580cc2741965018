"""From each format into each and back: the same voxels, dtype and place."""

import h5py
import numpy as np
import pytest
import tifffile
import zarr

from lsd_experiments.arrays import list_datasets, n5, open_volume

from .conftest import DATASET, OFFSET, SHAPE, VOXEL_SIZE

FORMATS = ["zarr", "n5", "h5", "tif"]
OUT = "volumes/deep/out"


def name_of(path):
    return None if path.suffix == ".tif" else OUT


def check(path, expected, voxel_size=VOXEL_SIZE, offset=OFFSET):
    found = open_volume(path, name_of(path))
    np.testing.assert_array_equal(found.read(), expected)
    assert found.dtype == expected.dtype
    assert found.voxel_size == pytest.approx(voxel_size, rel=1e-12)
    assert found.offset == pytest.approx(offset, rel=1e-12)
    assert not [*path.parent.rglob(".*.partial")]


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize("source", FORMATS)
def test_there_and_back(write, values, convert, tmp_path, source, to):
    container, dataset = write(f"in.{source}", values)
    stored = ["--voxel-size", *VOXEL_SIZE] if source == "tif" else []
    offset = (0, 0, 0) if source == "tif" else OFFSET
    there, back = tmp_path / f"there.{to}", tmp_path / f"back.{source}"
    convert(container, dataset, there, name_of(there) or "-", *stored)
    check(there, values, offset=offset)
    convert(there, name_of(there) or "-", back, name_of(back) or "-")
    check(back, values, offset=offset)


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint32", "int64", "uint64", "float16", "float32", "float64"])
def test_the_dtype_stays(write, convert, tmp_path, dtype, to):
    values = np.random.default_rng(0).normal(0, 1000, SHAPE)
    values = np.clip(values, -1e4, 1e4) if dtype[0] == "f" else values
    with np.errstate(invalid="ignore"):
        values = values.astype(dtype)
    if dtype == "uint64":
        values[0, 0, :3] = [2**64 - 3, 2**64 - 1, 2**53 + 1]
    path = tmp_path / f"out.{to}"
    convert(*write("in.zarr", values), path, name_of(path) or "-")
    check(path, values)


@pytest.mark.parametrize("to", ["zarr", "n5", "h5"])
@pytest.mark.parametrize("source", ["zarr", "n5", "h5"])
def test_channels_stay_first(write, values, convert, tmp_path, source, to):
    affs = np.stack([values, values + 1000]).astype(np.uint16)
    path = tmp_path / f"out.{to}"
    convert(*write(f"in.{source}", affs), path, OUT)
    check(path, affs)
    assert open_volume(path, OUT).channels == 2


@pytest.mark.parametrize("shape", [(1, 5, 6), (5, 1, 6), (5, 6, 1), (4, 6, 3), (3, 6, 4), (70, 65, 3)])
@pytest.mark.parametrize("to", FORMATS)
def test_thin_volumes(write, convert, tmp_path, shape, to):
    """What another program would take for colours, or for an image without depth."""
    values = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
    path = tmp_path / f"out.{to}"
    convert(*write("in.h5", values), path, name_of(path) or "-")
    check(path, values)


def test_other_programs_read_it(write, values, convert, tmp_path):
    for name in ("a.zarr", "a.n5", "a.h5"):
        convert(*write("in.zarr", values, name), tmp_path / name, "volumes/raw")
    convert(str(tmp_path / "in.zarr"), "a.zarr", tmp_path / "a.tif", "-")
    with h5py.File(tmp_path / "a.h5") as file:
        made = file["volumes/raw"]
        np.testing.assert_array_equal(made[()], values)
        assert list(made.attrs["resolution"]) == list(VOXEL_SIZE)
        assert list(made.attrs["offset"]) == list(OFFSET)
    for store in (zarr.DirectoryStore(str(tmp_path / "a.zarr")), n5.store(tmp_path / "a.n5")):
        np.testing.assert_array_equal(zarr.open_group(store, mode="r")["volumes/raw"][:], values)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        np.testing.assert_array_equal(file.asarray(), values)
        assert 'PhysicalSizeX="4.6" PhysicalSizeXUnit="nm"' in file.ome_metadata
        assert 'SizeZ="7"' in file.ome_metadata


def test_a_container_keeps_what_it_holds(write, values, convert, tmp_path):
    """The published converter truncates an HDF5 file."""
    for name in ("all.zarr", "all.n5", "all.h5"):
        container, dataset = write(name, values)
        convert(*write("in.h5", values + 1, f"volumes/{name}"), container, OUT)
        assert list_datasets(container) == [dataset, OUT]
        np.testing.assert_array_equal(open_volume(container, DATASET).read(), values)
        np.testing.assert_array_equal(open_volume(container, OUT).read(), values + 1)
