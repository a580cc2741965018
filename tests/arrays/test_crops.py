"""Crops: a JSON file that stands for part of a volume."""

import json

import numpy as np
import pytest

from lsd_experiments.arrays import has_dataset, list_datasets, open_volume
from lsd_experiments.errors import UserError


@pytest.fixture
def write(tmp_path, sample):
    def write(**crop):
        path = tmp_path / "crops/part.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"container": "../sample.zarr", **crop}))
        return path
    return write


PLACE = {"offset": [160, 50, 6 * 4.6], "size": [80, 40, 9.2]}


def test_a_crop(write, sample) -> None:
    volume = open_volume(write(**PLACE), "volumes/raw")
    assert (volume.shape, volume.voxel_size) == ((2, 4, 2), sample.voxel_size)
    assert volume.offset == pytest.approx(PLACE["offset"])
    np.testing.assert_array_equal(volume.read(), sample.raw[1:3, 2:6, 3:5])


def test_the_dataset_may_be_named_in_the_crop(write) -> None:
    assert open_volume(write(dataset="volumes/affs", **PLACE)).channels == 3
    assert open_volume(write(dataset="volumes/affs"), default="volumes/raw").channels == 3
    assert open_volume(write(), default="volumes/raw").channels is None
    with pytest.raises(UserError, match="stands for the dataset 'volumes/affs', not 'volumes/raw'"):
        open_volume(write(dataset="volumes/affs"), "volumes/raw")


def test_the_datasets_of_a_crop_are_its_containers(write, sample) -> None:
    assert list_datasets(write(**PLACE)) == list_datasets(sample.container)
    assert list_datasets(write(dataset="volumes/affs", **PLACE)) == []  # it is that one


def test_a_voxel_size_replaces_the_stored_one(write) -> None:
    assert open_volume(write(voxel_size=[50, 5, 5]), "volumes/raw").voxel_size == (50, 5, 5)


@pytest.mark.parametrize(("crop", "message"), [
    ({"offset": [0, 0, 0], "size": [80, 40, 9.2]}, "reaches outside of"),
    ({"offset": [160, 50, 27], "size": [80, 40, 9.2]}, "not on the voxel grid"),
    ({"offset": [160, 50, 27.6]}, "'offset' and 'size' come together"),
    ({"offset": [160, 50], "size": [1, 1, 1]}, r"part.json: 'offset' is \[160, 50\]; it must be three numbers"),
    ({"offset": [160, 50, 27.6], "size": [80, 40, -9.2]}, "three positive numbers"),
    ({"offest": [1, 2, 3]}, "unknown key 'offest'; did you mean 'offset'"),
    ({"container": "part.json"}, "part.json: stands for itself"),
    ({"container": 5}, "no crop, which is a table with a 'container'"),
    ({"container": "absent.zarr"}, "no such file or directory"),
    ({"dataset": 3}, "'dataset' is 3, not a name"),
])
def test_crops_that_are_wrong(write, crop, message) -> None:
    with pytest.raises(UserError, match=message):
        open_volume(write(**crop), "volumes/raw")


def test_what_is_no_crop(tmp_path) -> None:
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(UserError, match=r"broken.json: not valid JSON"):
        open_volume(tmp_path / "broken.json")
    with pytest.raises(UserError, match=r"absent.json: no such file"):
        open_volume(tmp_path / "absent.json")


def test_a_crop_of_a_crop(write, sample, tmp_path) -> None:
    write(dataset="volumes/raw", **PLACE)
    outer = {"container": "crops/part.json", "offset": [200, 60, 32.2], "size": [40, 20, 4.6]}
    (tmp_path / "outer.json").write_text(json.dumps(outer))
    for dataset in (None, "", "volumes/raw"):
        volume = open_volume(tmp_path / "outer.json", dataset)
        assert volume.offset == pytest.approx((200, 60, 32.2))
        np.testing.assert_array_equal(volume.read(), sample.raw[2:3, 3:5, 4:5])
    assert list_datasets(tmp_path / "outer.json") == []
    (tmp_path / "outer.json").write_text(json.dumps({**outer, "offset": [120, 30, 13.8], "size": [80, 40, 9.2]}))
    with pytest.raises(UserError, match="reaches outside of"):  # of the inner one
        open_volume(tmp_path / "outer.json")


def test_crops_that_stand_for_each_other(write, tmp_path) -> None:
    path = write(container="../other.json")
    (tmp_path / "other.json").write_text(json.dumps({"container": "crops/part.json"}))
    for call in (open_volume, list_datasets):
        with pytest.raises(UserError, match=r"part.json: stands for itself"):
            call(path)


@pytest.mark.parametrize("crop", [{}, {"dataset": "volumes/raw"}])
def test_what_opens_a_crop_again(write, crop) -> None:
    volume = open_volume(write(**crop, **PLACE), None if crop else "volumes/raw")
    again = open_volume(*volume.place)
    assert (again.region, again.offset, again.dataset) == (volume.region, volume.offset, volume.dataset)
    assert volume.place != (volume.container, volume.dataset)


@pytest.fixture
def join(tmp_path, sample):
    """A file of several datasets: two of the sample, and an array in a file that says nothing of itself."""
    def join(**datasets):
        np.save(tmp_path / "ids.npy", np.arange(60).reshape(3, 4, 5))
        path = tmp_path / "joined" / "all.json"
        path.parent.mkdir(exist_ok=True)
        usual = {"em": {"container": "../sample.zarr", "dataset": "volumes/raw", **PLACE},
                 "cells/ids": {"container": "../ids.npy", "voxel_size": [40, 5, 2.3], "begin": [-80, 10, 4.6]}}
        path.write_text(json.dumps({"datasets": {name: crop for name, crop in (usual | datasets).items() if crop}}))
        return path
    return join


def test_datasets_that_lie_elsewhere(join, sample):
    path = join()
    assert list_datasets(path) == ["em", "cells/ids"]
    assert [has_dataset(path, name) for name in ("em", "cells/ids", "/em/", "cells", "volumes/raw")] == [True] * 3 + [False] * 2
    em, ids = open_volume(path, "em"), open_volume(path, "/cells/ids")
    np.testing.assert_array_equal(em.read(), sample.raw[1:3, 2:6, 3:5])
    assert (ids.voxel_size, ids.offset, ids.shape) == ((40, 5, 2.3), (-80, 10, 4.6), (3, 4, 5))
    for volume in (em, ids):
        again = open_volume(*volume.place)
        np.testing.assert_array_equal(again.read(), volume.read())
        assert (again.place, again.offset) == (volume.place, volume.offset)
    assert open_volume(path, default="em").shape == em.shape
    assert open_volume(join(em=None), "-").shape == ids.shape


def test_a_crop_of_such_a_dataset(join, tmp_path):
    join()
    (tmp_path / "part.json").write_text(json.dumps(
        {"container": "joined/all.json", "dataset": "cells/ids", "offset": [-40, 15, 4.6], "size": [40, 10, 4.6]}))
    assert open_volume(tmp_path / "part.json").read().ravel().tolist() == [25, 26, 30, 31]


@pytest.mark.parametrize(("datasets", "asked", "message"), [
    ({}, None, r"all.json: name one of its datasets. It holds em, cells/ids"),
    ({}, "cells/idz", "all.json: no dataset 'cells/idz'; did you mean 'cells/ids'"),
    ({"em": {"container": 3}}, "em", "all.json: em: no crop, which is a table with a 'container'"),
    ({"em": {"container": "a", "ofset": 1}}, "em", "all.json: em: unknown key 'ofset'; did you mean 'offset'"),
    ({"em": {"container": "all.json", "dataset": "em"}}, "em", "all.json: em is of .*all.json, which has 'datasets', too"),
    ({"em/": {"container": "a.npy"}}, "em", "all.json: 'em/' is no dataset's name"),
    ({"cells/ids": {"container": "../ids.npy"}}, "cells/ids", "ids.npy: stores no voxel size"),
    ({"cells/ids": {"container": "../ids.npy", "voxel_size": [1, 1, 1], "begin": [1]}}, "cells/ids", "cells/ids: 'begin' is"),
])
def test_datasets_that_are_wrong(join, datasets, asked, message):
    with pytest.raises(UserError, match=message):
        open_volume(join(**datasets), asked)


def test_datasets_stand_alone(tmp_path):
    for text in ('{"datasets": {}}', '{"datasets": {"a": {"container": "b"}}, "container": "c"}', '{"datasets": 3}'):
        (tmp_path / "a.json").write_text(text)
        with pytest.raises(UserError, match="'datasets' stands alone, and is a table of one crop or more"):
            open_volume(tmp_path / "a.json", "a")
