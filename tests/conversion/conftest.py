"""Volumes in all formats that are read: anisotropic voxels of fractional size, an offset, no two axes alike."""

import warnings

import h5py
import numpy as np
import pytest
import tifffile
import zarr

from lsd_experiments.conversion import command

VOXEL_SIZE, OFFSET, SHAPE, CHUNKS = (40.0, 100 / 3, 4.6), (120.0, -100 / 3, 13.8), (7, 11, 13), (2, 4, 8)
DATASET = "volumes/in"


@pytest.fixture
def values():
    """[7, 11, 13] uint16, every value different."""
    return np.arange(np.prod(SHAPE), dtype=np.uint16).reshape(SHAPE)


@pytest.fixture
def write(tmp_path):
    """A function that writes an array into a container, by other programs' means."""

    def write(name, values, dataset=DATASET, voxel_size=VOXEL_SIZE, offset=OFFSET):
        path = tmp_path / name
        if path.suffix == ".tif":
            tifffile.imwrite(path, values, photometric="minisblack")
            return str(path), "-"
        if path.suffix == ".h5":
            with h5py.File(path, "a") as file:
                made = file.create_dataset(dataset, data=values)
                made.attrs.update({"resolution": voxel_size, "offset": offset})
            return str(path), dataset
        order = -1 if path.suffix == ".n5" else 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            store = (zarr.N5Store if path.suffix == ".n5" else zarr.DirectoryStore)(str(path))
        leading = values.shape[:-3]
        made = zarr.open_group(store, mode="a").create_dataset(dataset, data=values, chunks=(*leading, *CHUNKS))
        made.attrs.put({"resolution": voxel_size[::order], "offset": offset[::order]})
        return str(path), dataset

    return write


@pytest.fixture
def convert():
    """The command in this process."""

    def convert(*arguments):
        command.run(command._parser(None).parse_args([*map(str, arguments)]))

    return convert
