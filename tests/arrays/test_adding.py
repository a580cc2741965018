"""Datasets that are put into a container when they are whole: zarr, N5, HDF5."""

import signal
import subprocess
import sys

import h5py
import numpy as np
import pytest
import zarr

from lsd_experiments.arrays import add_volume, can_add, create_volume, list_datasets, n5, open_volume
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box

SHAPE, CHUNKS, VOXEL_SIZE, OFFSET = (5, 7, 9), (2, 4, 4), (40.0, 10.0, 4.6), (120.0, 30.0, 13.8)
LABELS, MASK = "volumes/labels/neuron_ids", "volumes/labels/labels_mask"
ATTRS = {"provenance": {"stage": "a_test", "parameters": {"ids": [2**64 - 3]}}}
VALUES = (np.arange(np.prod(SHAPE)).reshape(SHAPE) % 251).astype(np.uint8)


@pytest.fixture(params=["zarr", "n5", "h5"])
def container(request, tmp_path):
    """A container that holds labels already, written by other programs' means."""
    path, ids = tmp_path / f"sample.{request.param}", VALUES.astype(np.uint64)
    if request.param == "h5":
        with h5py.File(path, "w") as file:
            made = file.create_dataset(LABELS, data=ids)
            made.attrs.update({"resolution": VOXEL_SIZE, "offset": OFFSET})
        return path
    order = -1 if request.param == "n5" else 1
    root = zarr.open_group(n5.store(path) if request.param == "n5" else zarr.DirectoryStore(str(path)), mode="w")
    made = root.create_dataset(LABELS, data=ids, chunks=CHUNKS)
    made.attrs.put({"resolution": VOXEL_SIZE[::order], "offset": OFFSET[::order]})
    return path


def adding(container, dataset=MASK, **options):
    return add_volume(container, dataset, SHAPE, VOXEL_SIZE, OFFSET, np.uint8, chunks=CHUNKS, attrs=ATTRS, **options)


def add(container, values=VALUES, dataset=MASK, **options):
    with adding(container, dataset, **options) as volume:
        for box in volume.box.blocks(CHUNKS):
            inside = box.intersect(volume.box)
            volume.write(inside, values[inside.slices])


def files(container):
    return sorted(path.name for path in container.parent.rglob("*") if ".partial" in path.name)


def test_what_is_added_stands_beside_what_was_there(container):
    add(container)
    added, labels = open_volume(container, MASK), open_volume(container, LABELS)
    np.testing.assert_array_equal(added.read(), VALUES)
    np.testing.assert_array_equal(labels.read(), VALUES)
    for volume in (added, labels):
        assert (volume.shape, volume.voxel_size) == (SHAPE, VOXEL_SIZE)
        assert volume.offset == pytest.approx(OFFSET)
    assert (added.dtype, added.chunks) == (np.uint8, CHUNKS)
    assert added.attrs["provenance"] == ATTRS["provenance"]
    assert list_datasets(container) == [MASK, LABELS]
    assert files(container) == []


def test_other_programs_read_it(container):
    add(container)
    if container.suffix == ".h5":
        with h5py.File(container) as file:
            found, attrs = file[MASK][()], dict(file[MASK].attrs)
    else:
        store = n5.store(container) if container.suffix == ".n5" else zarr.DirectoryStore(str(container))
        array = zarr.open_group(store, mode="r")[MASK]
        found, attrs = array[:], dict(array.attrs)
    np.testing.assert_array_equal(found, VALUES)
    wanted = VOXEL_SIZE[::-1] if container.suffix == ".n5" else VOXEL_SIZE
    assert list(attrs["resolution"]) == list(wanted)


def test_it_appears_at_the_end_only(container):
    with adding(container) as volume:
        volume.write(Box.of_shape(CHUNKS), VALUES[:2, :4, :4])
        assert list_datasets(container) == [LABELS]
        assert files(container) != []
    assert open_volume(container, MASK).read().any()


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_error_leaves_nothing(container, error):
    def fail():
        with adding(container) as volume:
            volume.write(Box.of_shape(CHUNKS), VALUES[:2, :4, :4])
            raise error

    with pytest.raises(error):
        fail()
    assert list_datasets(container) == [LABELS]
    assert files(container) == []


def test_it_is_replaced_only_if_asked(container):
    add(container)
    with pytest.raises(UserError, match="exists already"), adding(container):
        pass
    np.testing.assert_array_equal(open_volume(container, MASK).read(), VALUES)
    add(container, VALUES // 2, overwrite=True)
    np.testing.assert_array_equal(open_volume(container, MASK).read(), VALUES // 2)
    np.testing.assert_array_equal(open_volume(container, LABELS).read(), VALUES)


def test_nothing_is_put_into_a_dataset(container):
    with pytest.raises(UserError, match="is a dataset"), adding(container, f"{LABELS}/mask"):
        pass
    with pytest.raises(UserError, match="no dataset's name"), adding(container, "../mask"):
        pass


KILLED = """
import sys
import numpy as np
from lsd_experiments.arrays import add_volume

with add_volume(sys.argv[1], "volumes/labels/labels_mask", (5, 7, 9), (1, 1, 1), (0, 0, 0), np.uint8, chunks=(2, 4, 4)) as volume:
    volume.write(volume.box, np.ones(volume.shape, np.uint8))
    print("half way", flush=True)
    sys.stdin.read()
"""


def test_a_second_run_is_refused_and_one_that_was_killed_is_no_hindrance(container):
    first = subprocess.Popen([sys.executable, "-c", KILLED, container], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert first.stdout.readline() == "half way\n"
        with pytest.raises(UserError, match="another run is adding a dataset"), adding(container):
            pass
        first.send_signal(signal.SIGKILL)
    finally:
        first.kill()
        first.communicate()
    assert list_datasets(container) == [LABELS]
    assert files(container) != []  # it could not tidy up; the next one does
    add(container)
    np.testing.assert_array_equal(open_volume(container, MASK).read(), VALUES)
    assert files(container) == []


def test_a_zarr_directory_is_made(tmp_path):
    add(tmp_path / "new" / "out.zarr")
    np.testing.assert_array_equal(open_volume(tmp_path / "new" / "out.zarr", MASK).read(), VALUES)


@pytest.mark.parametrize("suffix", ["zarr", "n5", "h5"])
def test_a_container_is_made_by_its_suffix(tmp_path, suffix):
    """With channels, which chunks hold all of; and only when its dataset is whole."""
    path, affs = tmp_path / f"new/out.{suffix}", np.stack([VALUES, VALUES // 2])
    with add_volume(path, MASK, SHAPE, VOXEL_SIZE, OFFSET, np.uint8, chunks=CHUNKS, channels=2, attrs=ATTRS) as volume:
        volume.write(volume.box, affs)
        assert not path.is_file()
    added = open_volume(path, MASK)
    np.testing.assert_array_equal(added.read(), affs)
    assert (added.channels, added.chunks, added.voxel_size) == (2, CHUNKS, VOXEL_SIZE)
    assert added.attrs["provenance"] == ATTRS["provenance"]
    assert (path / "attributes.json").is_file() == (suffix == "n5")
    assert files(path) == []
    add(path, dataset="other")
    assert list_datasets(path) == ["other", MASK]


def test_an_hdf5_file_that_comes_meanwhile_is_kept(tmp_path):
    path = tmp_path / "out.h5"
    with adding(path) as volume:
        volume.write(volume.box, VALUES)
        with h5py.File(path, "w") as file:
            file["theirs"] = VALUES
    assert list_datasets(path) == ["theirs", MASK]
    np.testing.assert_array_equal(open_volume(path, MASK).read(), VALUES)


def test_a_group_is_not_replaced(container):
    for group in ("volumes", "volumes/labels"):
        with pytest.raises(UserError, match="is a group"), adding(container, group, overwrite=True):
            pass
    np.testing.assert_array_equal(open_volume(container, LABELS).read(), VALUES)


def test_what_cannot_be_added_to(container, tmp_path):
    (tmp_path / "crop.json").write_text("{}")
    (tmp_path / "sections").mkdir()
    (tmp_path / "sections" / "0.tif").touch()
    assert can_add(container)
    assert can_add(tmp_path / "new.zarr")
    for name in ("s3://bucket/sample.zarr", tmp_path / "crop.json", tmp_path / "a.tif", tmp_path / "sections"):
        assert not can_add(name)


def test_results_are_not_put_into_n5(tmp_path):
    """``create_volume`` writes zarr, which no reader of N5 would find there."""
    zarr.open_group(n5.store(tmp_path / "a.n5"), mode="w")
    with pytest.raises(UserError, match="is no zarr group"):
        create_volume(tmp_path / "a.n5", MASK, SHAPE, VOXEL_SIZE, OFFSET, np.uint8)
