"""Voxel sizes as the programs of the field write them, and as they read ours; the one that is given comes first."""

import json
import logging

import h5py
import numpy as np
import pytest
import zarr
from funlib.persistence import open_ds, prepare_ds

from lsd_experiments.arrays import create_volume, list_datasets, open_volume
from lsd_experiments.errors import UserError

VALUES = np.arange(4 * 5 * 6, dtype=np.uint8).reshape(4, 5, 6)
GIVEN = (50, 9, 8)


@pytest.mark.parametrize("options", [{}, {"units": ["nm"] * 3}, {"axis_names": ["z", "y", "x"], "units": ["nm"] * 3}])
@pytest.mark.parametrize("dataset", ["raw", "volumes/raw"])
def test_what_funlib_prepares(tmp_path, options, dataset) -> None:
    made = prepare_ds(tmp_path / "a.zarr" / dataset, VALUES.shape, offset=(80, -30, 9), voxel_size=(40, 10, 9), dtype=np.uint8,
                      mode="w", **options)
    made[:] = VALUES
    for name in (dataset, "-", None):
        volume = open_volume(tmp_path / "a.zarr", name)
        assert (volume.voxel_size, volume.offset, volume.dataset) == ((40, 10, 9), (80, -30, 9), dataset)
        np.testing.assert_array_equal(volume.read(), VALUES)


@pytest.mark.parametrize("channels", [None, 3])
def test_what_funlib_reads_of_ours(tmp_path, channels) -> None:
    create_volume(tmp_path / "a.zarr", "v/a", (4, 5, 6), (40, 10, 9), (80, -30, 9), np.uint8, channels=channels)
    found = open_ds(tmp_path / "a.zarr/v/a")
    assert (tuple(found.voxel_size), tuple(found.offset), found.units) == ((40, 10, 9), (80, -30, 9), ["nm"] * 3)
    assert found.axis_names == [*(["c^"] if channels else []), "z", "y", "x"]
    assert tuple(found.roi.shape) == (160, 50, 54)


@pytest.fixture
def n5(tmp_path):
    """An N5 of one array at ``path`` (or itself), with attributes of the array and of groups."""
    def make(path: str = "", groups=(), **attrs):
        with pytest.warns(FutureWarning, match="N5Store is deprecated"):
            root = zarr.open_group(zarr.N5Store(str(tmp_path / "a.n5")), mode="w")
        if path:
            root.create_dataset(path, data=VALUES)
        else:
            zarr.array(VALUES, store=root.store, overwrite=True)
        for name, values in [(path, attrs), *groups]:
            file = tmp_path / "a.n5" / name / "attributes.json"
            known = json.loads(file.read_text()) if file.exists() else {}
            file.write_text(json.dumps({**known, **values}))
        return tmp_path / "a.n5"
    return make


@pytest.mark.parametrize(("path", "attrs", "groups", "expected", "warns"), [
    ("", {"resolution": [9, 10, 40]}, [], (40, 10, 9), False),  # the container is the array
    ("s1", {"downsamplingFactors": [2, 2, 1]}, [("", {"pixelResolution": {"unit": "um", "dimensions": [0.009, 0.01, 0.04]}})],
     (40, 20, 18), False),
    ("em/s1", {}, [("em", {"pixelResolution": [9, 10, 40], "scales": [[1, 1, 1], [2, 4, 1]]})], (40, 40, 18), False),
    ("setup0/timepoint0/s0", {"downsamplingFactors": [1, 1, 1]},
     [("setup0/timepoint0", {"resolution": [9, 10, 40]}), ("setup0", {"downsamplingFactors": [[1, 1, 1]]})], (40, 10, 9), False),
    ("s1", {"pixelResolution": {"unit": "nm", "dimensions": [9, 10, 40]}, "downsamplingFactors": [2, 2, 1]}, [],
     (40, 20, 18), True),
    ("s1", {"resolution": [9, 10, 40], "downsamplingFactors": [2, 2, 1]}, [], (40, 10, 9), False),
    ("a/b", {"resolution": [9, 10, 40]}, [("a", {"resolution": [1, 1, 1]})], (40, 10, 9), False),
])
def test_n5(n5, caplog, path, attrs, groups, expected, warns) -> None:
    volume = open_volume(n5(path, groups, **attrs), "-" if path in ("", "a/b") else path)
    assert volume.voxel_size == pytest.approx(expected)
    assert any("downsamplingFactors" in r.message for r in caplog.records if r.levelno == logging.WARNING) == warns
    np.testing.assert_array_equal(volume.read(), VALUES)


def test_n5_axes(n5) -> None:
    volume = open_volume(n5("a", axes=["z", "y", "x"], resolution=[40, 10, 9]), "a")
    assert (volume.shape, volume.voxel_size) == ((6, 5, 4), (40, 10, 9))
    np.testing.assert_array_equal(volume.read(), VALUES.T)


@pytest.mark.parametrize(("attrs", "expected"), [
    ({"element_size_um": [0.04, 0.01, 0.009]}, (40, 10, 9)),
    ({"element_size_um": [0.04, 0.01, 0.009], "resolution": [40, 10, 9]}, (40, 10, 9)),
    ({"resolution": [40, 10, 9], "units": b"nm"}, (40, 10, 9)),
])
def test_hdf5(tmp_path, caplog, attrs, expected) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["v/a"] = VALUES
        file["v/a"].attrs.update(attrs)
    assert open_volume(tmp_path / "a.h5", "-").voxel_size == pytest.approx(expected)
    assert not caplog.records


def test_sizes_that_contradict(tmp_path, caplog) -> None:
    array = zarr.open(str(tmp_path / "a.zarr"), mode="w", shape=(4, 5, 6))
    array.attrs.put({"resolution": [40, 10, 9], "voxel_size": [1, 1, 1]})
    assert open_volume(tmp_path / "a.zarr").voxel_size == (40, 10, 9)
    assert "'resolution' and 'voxel_size' contradict each other" in caplog.text


NONSENSE = ["abc", 5, None, True, [1, 2], [0, 0, 0], [-1, 1, 1], [float("nan")] * 3, [float("inf")] * 3, [[1, 1, 1]], {},
            ["1", "2", "3"], [10**400, 1, 1]]


@pytest.mark.parametrize("value", NONSENSE, ids=lambda v: str(v)[:20])
@pytest.mark.parametrize("key", ["resolution", "voxel_size", "element_size_um"])
def test_a_size_that_is_given_comes_first(tmp_path, key, value) -> None:
    array = zarr.open(str(tmp_path / "a.zarr"), mode="w", shape=(4, 5, 6))
    array.attrs.put({key: value, "offset": [80, -30, 9]})
    with pytest.raises(UserError, match=r"a\.zarr"):
        open_volume(tmp_path / "a.zarr")
    crop = tmp_path / "a.json"
    crop.write_text(json.dumps({"container": "a.zarr", "voxel_size": GIVEN}))
    for volume in (open_volume(tmp_path / "a.zarr", voxel_size=GIVEN), open_volume(crop)):
        assert (volume.voxel_size, volume.offset) == (GIVEN, (80, -30, 9))


@pytest.mark.parametrize("image", [
    {"datasets": [{"path": "0"}]},
    {"axes": list("zyx"), "datasets": [{"path": "0"}]},
    {"axes": [{"name": n, "unit": "pixel"} for n in "zyx"],
     "datasets": [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": "abc"}]}]}])
def test_ome_without_a_size_that_can_be_read(tmp_path, image) -> None:
    root = zarr.open_group(str(tmp_path / "a.zarr"), mode="w")
    root.array("0", VALUES)
    root.attrs["multiscales"] = [image]
    with pytest.raises(UserError, match=r"its axes are|has no unit|is not read"):
        open_volume(tmp_path / "a.zarr")
    volume = open_volume(tmp_path / "a.zarr", voxel_size=GIVEN)
    assert (volume.voxel_size, volume.offset) == (GIVEN, (0, 0, 0))


def test_the_only_dataset(tmp_path) -> None:
    for name in ("volumes/raw", "volumes/labels"):
        create_volume(tmp_path / "a.zarr", name, (4, 5, 6), (40, 10, 9), (80, -30, 9), np.uint8)
        if name == "volumes/raw":
            assert open_volume(tmp_path / "a.zarr", "-").dataset == "volumes/raw"
    with pytest.raises(UserError, match=r"name one of its datasets\. It holds volumes/labels, volumes/raw"):
        open_volume(tmp_path / "a.zarr", "-", default="volumes/raw")
    with pytest.raises(UserError, match="'-' is no dataset's name"):
        create_volume(tmp_path / "a.zarr", "-", (4, 5, 6), (40, 10, 9), (80, -30, 9), np.uint8)


def test_a_bad_array_is_named_and_stops_no_other(tmp_path, caplog) -> None:
    for name in ("volumes/raw", "volumes/bad", "volumes/s"):
        create_volume(tmp_path / "a.zarr", name, (4, 5, 6), (40, 10, 9), (80, -30, 9), np.uint8)
    (tmp_path / "a.zarr/volumes/bad/.zarray").write_text("[]")
    assert list_datasets(tmp_path / "a.zarr") == ["volumes/bad", "volumes/raw", "volumes/s"]
    assert "a.zarr:volumes/bad: its .zarray is []" in caplog.text
    assert open_volume(tmp_path / "a.zarr", "volumes/raw").shape == (4, 5, 6)
