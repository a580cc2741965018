"""Which array a name finds, and what is said where it finds none."""

import json

import numpy as np
import pytest
import zarr

from lsd_experiments.arrays import list_datasets, open_volume
from lsd_experiments.errors import UserError


def test_the_datasets_that_there_are_get_listed(sample) -> None:
    expected = ["volumes/affs", "volumes/raw", "volumes/labels/neuron_ids"]
    assert list_datasets(sample.container) == expected
    with pytest.raises(UserError) as error:
        open_volume(sample.container, "volumes/rwa")
    assert str(error.value) == (f"{sample.container}: no dataset 'volumes/rwa'; did you mean 'volumes/raw'? It holds "
                                + ", ".join(expected))
    with pytest.raises(UserError, match=r"name one of its datasets. It holds volumes/affs"):
        open_volume(sample.container)


def test_the_default_is_for_containers_of_several(sample, tmp_path, raw) -> None:
    assert open_volume(sample.container, default="volumes/raw").dataset == "volumes/raw"
    assert open_volume(sample.container, "", default="volumes/raw").dataset == "volumes/raw"
    assert open_volume(sample.container, "volumes/affs", default="volumes/raw").dataset == "volumes/affs"
    array = zarr.array(raw, store=zarr.DirectoryStore(str(tmp_path / "single.zarr")))
    array.attrs["resolution"] = [40, 10, 4.6]
    single = open_volume(tmp_path / "single.zarr", default="volumes/raw")
    assert (single.dataset, single.name) == ("", str(tmp_path / "single.zarr"))
    np.testing.assert_array_equal(single.read(), raw)


@pytest.mark.parametrize("name", ["../sample.zarr/volumes/raw", "volumes/../raw", "/..", ".", "volumes\\..\\raw"])
def test_names_stay_inside_of_the_container(sample, name) -> None:
    with pytest.raises(UserError, match="is no dataset's name"):
        open_volume(sample.container, name)


@pytest.mark.parametrize("name", ["/volumes/raw", "volumes/raw/", "volumes//raw", "./volumes/raw"])
def test_needless_slashes(sample, name) -> None:
    assert open_volume(sample.container, name).dataset == "volumes/raw"


def test_a_group_stands_for_its_full_resolution(sample) -> None:
    source = zarr.open_group(str(sample.container), mode="a")
    for name, step in (("s0", 1), ("s1", 2)):
        made = source.create_dataset(f"pyramid/{name}", data=sample.raw[:, ::step, ::step])
        made.attrs.put({"resolution": [40, 10 * step, 4.6 * step]})
    opened = open_volume(sample.container, "pyramid")
    assert (opened.dataset, opened.shape, opened.offset) == ("pyramid/s0", (5, 7, 9), (0, 0, 0))
    assert open_volume(sample.container, "pyramid/s1").shape == (5, 4, 5)
    with pytest.raises(UserError, match="no dataset 'volumes'"):
        open_volume(sample.container, "volumes")


@pytest.mark.parametrize(("attributes", "voxel_size", "offset"), [
    ({"voxel_size": [40, 10, 4.6]}, (40, 10, 4.6), (0, 0, 0)),
    ({"resolution": [1, 40, 10, 4.6], "offset": [0, 80, 20, 9.2]}, (40, 10, 4.6), (80, 20, 9.2)),
    ({"voxel_size": [0.04, 0.01, 0.0046], "units": ["um"] * 3, "offset": [1, 0, 0]}, (40, 10, 4.6), (1000, 0, 0)),
    ({"resolution": [20, 9, 9], "voxel_size": [1, 1, 1]}, (20, 9, 9), (0, 0, 0)),
])
def test_attributes(sample, attributes, voxel_size, offset) -> None:
    (sample.container / "volumes/raw/.zattrs").write_text(json.dumps(attributes))
    volume = open_volume(sample.container, "volumes/raw")
    assert volume.voxel_size == pytest.approx(voxel_size)
    assert volume.offset == pytest.approx(offset)


@pytest.mark.parametrize(("attributes", "message"), [
    ({}, r"volumes/raw has no voxel size. Add the attribute 'resolution': .*, or name a crop \(.json\) with 'voxel_size'$"),
    ({"resolution": [40, 10]}, r"'resolution' is \[40, 10\]; it must be three positive numbers"),
    ({"resolution": [40, 10, 0]}, "three positive numbers"),
    ({"resolution": "40 nm"}, "three positive numbers"),
    ({"resolution": [40, 10, float("nan")]}, "three positive numbers"),
    ({"resolution": [40, 10, 4], "offset": [1, 2]}, r"'offset' is \[1, 2\]; it must be three numbers"),
    ({"resolution": [1, 1, 1], "units": ["s", "nm", "nm"]}, "'s' is no unit of length"),
])
def test_attributes_that_are_wrong(sample, attributes, message) -> None:
    (sample.container / "volumes/raw/.zattrs").write_text(json.dumps(attributes))
    with pytest.raises(UserError, match=message):
        open_volume(sample.container, "volumes/raw")


def test_a_voxel_size_that_is_given_wins(sample) -> None:
    assert open_volume(sample.container, "volumes/raw", voxel_size=(50, 5, 5)).voxel_size == (50, 5, 5)


def test_metadata_that_is_no_json(sample) -> None:
    (sample.container / "volumes/raw/.zarray").write_text("{")
    with pytest.raises(UserError, match="volumes/raw: its metadata cannot be read"):
        open_volume(sample.container, "volumes/raw")


@pytest.mark.parametrize(("name", "message"), [
    ("absent.zarr", "no such file or directory"),
    ("notes.txt", "of no known format"),
    ("empty", "neither zarr, N5 nor precomputed"),
    ("third.zarr", r"third.zarr:volumes/raw: its zarr.json is \{\}, of no array or group"),
])
def test_what_is_no_container(tmp_path, name, message) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "empty").mkdir()
    (tmp_path / "third.zarr/volumes/raw").mkdir(parents=True)
    for directory in ("third.zarr", "third.zarr/volumes/raw"):
        (tmp_path / directory / "zarr.json").write_text("{}")
    with pytest.raises(UserError, match=message):
        open_volume(tmp_path / name, "volumes/raw")


@pytest.mark.parametrize("shape", [(7, 9), (2, 3, 5, 7, 9), (2, 1, 5, 7, 9)])
def test_shapes_that_are_no_volume(sample, shape) -> None:
    made = zarr.open_group(str(sample.container), mode="a").zeros("odd", shape=shape)
    made.attrs["resolution"] = [40, 10, 4.6]
    with pytest.raises(UserError, match=r"odd has the shape .* volumes are \(z, y, x\) or \(c, z, y, x\)"):
        open_volume(sample.container, "odd")


def test_leading_axes_of_length_1_are_dropped(sample) -> None:
    made = zarr.open_group(str(sample.container), mode="a").array("batch", sample.affs[None])
    made.attrs["resolution"] = [40, 10, 4.6]
    volume = open_volume(sample.container, "batch")
    assert (volume.channels, volume.shape) == (3, (5, 7, 9))
    np.testing.assert_array_equal(volume.read(), sample.affs)
