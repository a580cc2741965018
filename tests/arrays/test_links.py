"""Names that lead to one array: HDF5's hard links, links of the file system. Each is listed once, and found by all of them."""

import h5py
import numpy as np
import pytest

from lsd_experiments.arrays import create_volume, find_volume, has_dataset, list_datasets, open_volume
from lsd_experiments.errors import UserError

SHAPE, VOXEL_SIZE, OFFSET = (3, 4, 5), (40.0, 10.0, 4.6), (120.0, 30.0, 13.8)


@pytest.fixture(params=["h5", "zarr"])
def linked(request, tmp_path):
    """volumes/raw, which is named second, too; and volumes/self, the group volumes itself."""
    path = tmp_path / f"linked.{request.param}"
    if request.param == "zarr":
        create_volume(path, "volumes/raw", SHAPE, VOXEL_SIZE, OFFSET, "uint16").array[:] = 7
        (path / "second").symlink_to("volumes/raw")
        (path / "volumes/self").symlink_to(".")
        return path
    with h5py.File(path, "w") as file:
        file["volumes/raw"] = np.full(SHAPE, 7, np.uint16)
        file["volumes/raw"].attrs.update(resolution=VOXEL_SIZE, offset=OFFSET)
        file["second"], file["volumes/self"], file["volumes/root"] = file["volumes/raw"], file["volumes"], file["/"]
    return path


def test_each_array_is_listed_once_and_is_the_only_one(linked) -> None:
    assert list_datasets(linked) == ["second"]
    assert open_volume(linked, "-").read().tolist() == np.full(SHAPE, 7).tolist()
    assert open_volume(linked).offset == OFFSET


def test_all_names_are_found(linked) -> None:
    for name in ("second", "volumes/raw", "volumes/self/self/raw"):
        assert find_volume(linked, name).shape == SHAPE
    assert find_volume(linked, "volumes/absent") is None


def test_of_two_arrays_none_is_the_only_one(linked, tmp_path) -> None:
    if linked.suffix == ".zarr":
        create_volume(linked, "volumes/other", SHAPE, VOXEL_SIZE, OFFSET, "uint16")
    else:
        with h5py.File(linked, "r+") as file:
            file["volumes/other"] = np.full(SHAPE, 7, np.uint16)  # equal, and another
    with pytest.raises(UserError, match=r"name one of its datasets\. It holds second, volumes/other"):
        open_volume(linked, "-")


def test_what_a_soft_link_leads_to_is_there(tmp_path) -> None:
    """It is not listed; a mask that is one counts all the same."""
    with h5py.File(tmp_path / "soft.h5", "w") as file:
        file["data/raw"] = np.zeros(SHAPE, np.uint8)
        file["data/raw"].attrs["resolution"] = VOXEL_SIZE
        file["volumes/raw"], file["volumes/lost"] = h5py.SoftLink("/data/raw"), h5py.SoftLink("/data/absent")
    assert list_datasets(tmp_path / "soft.h5") == ["data/raw"]
    assert find_volume(tmp_path / "soft.h5", "volumes/raw").shape == SHAPE
    assert find_volume(tmp_path / "soft.h5", "volumes/lost") is None


def test_one_of_hundreds_is_found(tmp_path) -> None:
    """More than are listed."""
    path = tmp_path / "many.h5"
    with h5py.File(path, "w") as file:
        for n in range(230):
            file[f"a/{n:03}"] = np.zeros((1, 1, 1), np.uint8)
        file["volumes/labels/labels_mask"] = np.ones(SHAPE, np.uint8)
    assert "volumes/labels/labels_mask" not in list_datasets(path)
    assert has_dataset(path, "volumes/labels/labels_mask")
    assert has_dataset(path, "volumes/labels")
    assert not has_dataset(path, "volumes/labels/unlabeled_mask")
