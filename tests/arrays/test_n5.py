"""N5: its attributes count x, y, z."""

import json

import numpy as np
import pytest
import zarr

from lsd_experiments.arrays import list_datasets, open_volume
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box

REVERSED = [4.6, 10, 40]  # x, y, z


@pytest.fixture
def container(tmp_path, sample):
    path = tmp_path / "sample.n5"
    with pytest.warns(FutureWarning, match="N5Store is deprecated"):
        store = zarr.N5Store(str(path))
    root = zarr.open_group(store, mode="w")
    root.create_dataset("volumes/raw", data=sample.raw, chunks=(2, 3, 4))
    root.create_dataset("volumes/affs", data=sample.affs, chunks=(1, 2, 3, 4))
    return path


def describe(container, dataset, attributes) -> None:
    file = container / dataset / "attributes.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **attributes}))


def test_the_fixture_counts_x_y_z(container) -> None:
    assert json.loads((container / "volumes/raw/attributes.json").read_text())["dimensions"] == [9, 7, 5]


@pytest.mark.parametrize("attributes", [
    {"resolution": REVERSED, "offset": [13.8, 30, 120]},
    {"voxel_size": [0.0046, 0.01, 0.04], "units": ["um", "um", "um"], "offset": [0.0138, 0.03, 0.12]},
    {"transform": {"axes": ["z", "y", "x"], "scale": [40, 10, 4.6], "translate": [120, 30, 13.8], "units": ["nm"] * 3}},
    {"transform": {"axes": ["x", "y", "z"], "scale": REVERSED, "translate": [13.8, 30, 120], "units": ["nm"] * 3},
     "pixelResolution": {"dimensions": [1, 1, 1], "unit": "nm"}},
])
def test_voxel_size_and_offset(container, sample, attributes) -> None:
    describe(container, "volumes/raw", attributes)
    volume = open_volume(container, "volumes/raw")
    assert volume.voxel_size == pytest.approx(sample.voxel_size)
    assert volume.offset == pytest.approx(sample.offset)
    assert (volume.shape, volume.chunks) == ((5, 7, 9), (2, 3, 4))
    np.testing.assert_array_equal(volume.read(), sample.raw)
    np.testing.assert_array_equal(volume.read(Box((1, -1, 2), (4, 4, 12)), fill=1)[:, 1:, :7], sample.raw[1:4, :4, 2:9])


@pytest.mark.parametrize("value", [REVERSED, {"dimensions": REVERSED, "unit": "nm"},
                                   {"dimensions": [0.0046, 0.01, 0.04], "unit": "um"}])
def test_pixel_resolution(container, sample, value) -> None:
    describe(container, "volumes/raw", {"pixelResolution": value})
    assert open_volume(container, "volumes/raw").voxel_size == pytest.approx(sample.voxel_size)


def test_channels(container, sample) -> None:
    describe(container, "volumes/affs", {"resolution": [*REVERSED, 1]})
    volume = open_volume(container, "volumes/affs")
    assert (volume.channels, volume.shape, volume.voxel_size) == (3, (5, 7, 9), sample.voxel_size)
    np.testing.assert_array_equal(volume.read(), sample.affs)


def test_errors(container) -> None:
    assert list_datasets(container) == ["volumes/affs", "volumes/raw"]
    with pytest.raises(UserError, match="no dataset 'volumes/rav'; did you mean 'volumes/raw'"):
        open_volume(container, "volumes/rav")
    with pytest.raises(UserError, match="has no voxel size"):
        open_volume(container, "volumes/raw")
    describe(container, "volumes/raw", {"transform": {"axes": ["x", "y", "z"]}})
    with pytest.raises(UserError, match="it needs axes, units, scale and translate"):
        open_volume(container, "volumes/raw")
    with pytest.raises(UserError, match="only zarr is written"):
        open_volume(container, "volumes/affs", voxel_size=(1, 1, 1), writable=True)


def test_a_damaged_chunk_is_named(container) -> None:
    chunk = container / "volumes/raw/2/1/0"  # x, y, z
    chunk.write_bytes(chunk.read_bytes()[:-5])
    with pytest.raises(UserError, match=r"sample.n5:volumes/raw: chunk 0.1.2 cannot be read"):
        open_volume(container, "volumes/raw", voxel_size=(40, 10, 4.6)).read()
