"""What axes are called, and how they lie on disk; where an OME level lies."""

import contextlib
import json
import re
import warnings

import h5py
import numpy as np
import pytest
import zarr

from lsd_experiments.arrays import create_volume, open_volume
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box

OFFSET, VOXEL_SIZE = (120, 30, 13.8), (40, 10, 4.6)


def tags(names: str) -> str:
    return json.dumps({"axes": [{"key": name, "typeFlags": 2, "resolution": 0, "description": ""} for name in names]})


@pytest.fixture
def affs(raw) -> np.ndarray:
    """[c, z, y, x] of shape (2, 5, 7, 9)."""
    return np.stack([raw, raw + 1000]).astype(np.uint16)


def axes_of(names: str) -> list[dict[str, str]]:
    return [{"name": n, "type": "space", "unit": "nanometer"} if n in "zyx" else {"name": n, "type": "channel"} for n in names]


@pytest.mark.parametrize("kind", ["axistags", "labels"])
@pytest.mark.parametrize("names", ["zyx", "xyz", "zyxc", "czyx", "tzyxc", "cxyz"])
def test_hdf5_says_its_axes(tmp_path, raw, affs, kind, names) -> None:
    source, order = (affs, "czyx") if "c" in names else (raw, "zyx")
    stored = np.transpose(source, [order.index(n) for n in names if n != "t"])[(None,) * names.count("t")]
    with h5py.File(tmp_path / "file.h5", "w") as file:
        made = file.create_dataset("data", data=stored, chunks=(1,) * stored.ndim)
        made.attrs["element_size_um"] = [0.04, 0.01, 0.0046]
        if kind == "axistags":
            made.attrs["axistags"] = tags(names)
        else:
            for dim, name in zip(made.dims, names, strict=True):
                dim.label = name
    volume = open_volume(tmp_path / "file.h5", "data")
    assert (volume.shape, volume.channels) == ((5, 7, 9), 2 if "c" in names else None)
    assert volume.voxel_size == pytest.approx(VOXEL_SIZE)
    np.testing.assert_array_equal(volume.read(), source)
    np.testing.assert_array_equal(volume.read(Box((1, 2, 3), (4, 5, 9))), source[..., 1:4, 2:5, 3:9])


@pytest.mark.parametrize("names", ["zyx", "xyz", "yzx", "cxyz", "xyzc"])
def test_ome_says_its_axes(tmp_path, raw, affs, names) -> None:
    source, order = (affs, "czyx") if "c" in names else (raw, "zyx")
    size, begin = (dict(zip("czyx", (1, *v), strict=True)) for v in (VOXEL_SIZE, OFFSET))
    root = zarr.open_group(str(tmp_path / "image.zarr"), mode="w")
    root.array("0", np.transpose(source, [order.index(n) for n in names]))
    root.attrs["multiscales"] = [{"axes": axes_of(names), "datasets": [{"path": "0", "coordinateTransformations": [
        {"type": "scale", "scale": [size[n] for n in names]},
        {"type": "translation", "translation": [begin[n] for n in names]}]}]}]
    volume = open_volume(tmp_path / "image.zarr")
    assert (volume.voxel_size, volume.offset) == (VOXEL_SIZE, OFFSET)
    np.testing.assert_array_equal(volume.read(Box((1, -1, 3), (4, 5, 12)), fill=7)[..., 1:, :6], source[..., 1:4, :5, 3:])


def test_a_transposed_volume_reads_its_chunks_only(tmp_path, raw) -> None:
    array = zarr.open(str(tmp_path / "a.zarr"), mode="w", shape=(9, 7, 5), chunks=(3, 7, 5), dtype="u2")
    array[:] = raw.T
    array.attrs.put({"axis_names": ["x", "y", "z"], "voxel_size": [4.6, 10, 40], "offset": [13.8, 30, 120]})
    (tmp_path / "a.zarr/2.0.0").write_bytes(b"damaged")
    volume = open_volume(tmp_path / "a.zarr")
    assert (volume.voxel_size, volume.offset, volume.chunks) == (VOXEL_SIZE, OFFSET, (5, 7, 3))
    np.testing.assert_array_equal(volume.read(Box((0, 0, 0), (5, 7, 6))), raw[..., :6])
    with pytest.raises(UserError, match="cannot be read"):
        volume.read()


@pytest.mark.parametrize(("shape", "message"), [
    ((40, 40, 3, 24), "looks like channels last"),
    ((24, 40, 40, 3), "looks like channels last"), ((40, 40, 30, 24), "looks like channels last"),
    ((2, 40, 40, 3), "looks like channels last"), ((2, 3, 5, 7, 9), "volumes are"), ((7, 9), "volumes are")])
def test_axes_without_names_that_are_no_volume(tmp_path, shape, message) -> None:
    zarr.open(str(tmp_path / "a.zarr"), mode="w", shape=shape, dtype="u1").attrs["resolution"] = [40, 10, 5]
    with pytest.raises(UserError, match=message):
        open_volume(tmp_path / "a.zarr")


@pytest.mark.parametrize("shape", [(10, 4, 5, 6), (3, 5, 7, 9), (12, 40, 40, 20)])
def test_channels_first_need_no_names(tmp_path, shape) -> None:
    zarr.open(str(tmp_path / "a.zarr"), mode="w", shape=shape, dtype="u1").attrs["resolution"] = [40, 10, 5]
    assert (open_volume(tmp_path / "a.zarr").channels, open_volume(tmp_path / "a.zarr").shape) == (shape[0], shape[1:])


def test_channels_last_are_read_if_they_are_named(tmp_path) -> None:
    values = np.random.default_rng(0).integers(0, 9, (24, 20, 10, 3), np.uint8)
    array = zarr.open(str(tmp_path / "a.zarr"), mode="w", shape=values.shape, dtype="u1")
    array[:] = values
    array.attrs.put({"resolution": [40, 10, 5], "axis_names": ["z", "y", "x", "c^"]})
    volume = open_volume(tmp_path / "a.zarr")
    assert volume.channels == 3
    np.testing.assert_array_equal(volume.read(), np.moveaxis(values, -1, 0))


def _n5_store(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return zarr.N5Store(str(path))


@pytest.mark.parametrize("name", ["a.zarr", "a.n5", "a.h5"])
@pytest.mark.parametrize("which", [0, 1])
def test_the_names_that_the_message_says_work(tmp_path, name, which) -> None:
    values = np.random.default_rng(0).integers(0, 9, (24, 20, 10, 3), np.uint8)
    root = h5py.File(tmp_path / name, "w") if name == "a.h5" else zarr.open_group(
        _n5_store(tmp_path / name) if name == "a.n5" else str(tmp_path / name), mode="w")
    array = root.create_dataset("raw", data=values, chunks=(8, 8, 8, 3))
    array.attrs["resolution"] = [5, 10, 40] if name == "a.n5" else [40, 10, 5]
    if name == "a.h5":
        root.close()
    with pytest.raises(UserError, match=r'looks like channels last.*the attribute "axis_names"') as caught:
        open_volume(tmp_path / name, "raw")
    names = json.loads(re.findall(r"\[[^]]*\]", str(caught.value))[which])
    with h5py.File(tmp_path / name, "a") if name == "a.h5" else contextlib.nullcontext(root) as root:
        root["raw"].attrs["axis_names"] = names
    volume = open_volume(tmp_path / name, "raw")
    assert (volume.channels, volume.voxel_size) == ((3, (40, 10, 5)) if which == 0 else (24, (40, 10, 5)))
    np.testing.assert_array_equal(volume.read(), np.moveaxis(values, -1, 0) if which == 0 else values)


def test_a_single_channel(tmp_path, raw) -> None:
    array = zarr.open(str(tmp_path / "a.zarr"), mode="w", shape=(1, *raw.shape), dtype="u2")
    array[:] = raw[None]
    array.attrs["resolution"] = [40, 10, 5]
    volume = open_volume(tmp_path / "a.zarr")
    assert volume.channels is None
    np.testing.assert_array_equal(volume.read(), raw)
    assert open_volume(tmp_path / "a.zarr", writable=True).channels == 1  # who writes says what it is
    assert create_volume(tmp_path / "b.zarr", "affs", (2, 3, 4), (1, 1, 1), (0, 0, 0), "u1", channels=1).channels == 1


def test_a_time_axis(tmp_path) -> None:
    array = zarr.open(str(tmp_path / "a.zarr"), mode="w", shape=(2, 3, 4, 5), dtype="u2")
    array.attrs.put({"resolution": [40, 10, 5], "axis_names": ["t", "z", "y", "x"]})
    with pytest.raises(UserError, match="axis t has the length 2"):
        open_volume(tmp_path / "a.zarr")


@pytest.mark.parametrize("first", [0, 100])
@pytest.mark.parametrize("turn", [1, -1])
def test_ome_levels_share_a_corner(tmp_path, first, turn) -> None:
    root, datasets = zarr.open_group(str(tmp_path / "image.zarr"), mode="w"), []
    for k, size in enumerate((4, 8, 16)):
        root.create_dataset(f"s{k}", shape=(16 // 2**k,) * 3, dtype="u1")
        datasets.append({"path": f"s{k}", "coordinateTransformations": [
            {"type": "scale", "scale": [size] * 3}, {"type": "translation", "translation": [first + (size - 4) / 2] * 3}]})
    root.attrs["multiscales"] = [{"axes": axes_of("zyx"), "datasets": datasets[::turn]}]
    levels = [open_volume(tmp_path / "image.zarr", f"s{k}") for k in range(3)]
    assert [v.offset for v in levels] == [(first,) * 3] * 3
    assert len({v.end for v in levels}) == 1
