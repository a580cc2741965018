"""Labels with ids that are no neurons: anisotropic voxels, an offset that is not zero, no two axes alike."""

import warnings

import h5py
import numpy as np
import pytest
import zarr

VOXEL_SIZE, OFFSET, SHAPE, CHUNKS = (40.0, 10.0, 4.6), (120.0, -30.0, 13.8), (7, 11, 13), (2, 4, 8)
NO_NEURON = 2**64 - 3
LABELS = "volumes/labels/neuron_ids"


@pytest.fixture
def labels():
    """[7, 11, 13] uint64: 0 to 5, and 2^64 - 3 and its neighbours."""
    ids = np.array([0, 1, 2, 5, NO_NEURON - 1, NO_NEURON, NO_NEURON + 1], np.uint64)
    return ids[np.random.default_rng(0).integers(0, len(ids), SHAPE)]


@pytest.fixture
def write(labels, tmp_path):
    """A function that writes the labels into a container of a name."""

    def write(name, values=labels, dataset=LABELS):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".h5":
            with h5py.File(path, "w") as file:
                made = file.create_dataset(dataset, data=values)
                made.attrs.update({"resolution": VOXEL_SIZE, "offset": OFFSET})
            return str(path)
        order = -1 if path.suffix == ".n5" else 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            store = (zarr.N5Store if path.suffix == ".n5" else zarr.DirectoryStore)(str(path))
        made = zarr.open_group(store, mode="w").create_dataset(dataset, data=values, chunks=CHUNKS)
        made.attrs.put({"resolution": VOXEL_SIZE[::order], "offset": OFFSET[::order]})
        return str(path)

    return write
