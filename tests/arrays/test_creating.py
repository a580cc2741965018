"""Creating zarr: as other programs read it, whole at once, and safe for several writers."""

import contextlib
import json
import multiprocessing
import os
import threading

import numpy as np
import pytest
import zarr

from lsd_experiments.arrays import create_volume, open_volume
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box


def make(container, dataset="volumes/affs", **options):
    place = {"shape": (5, 70, 9), "voxel_size": (40, 10, 4.6), "offset": (120, 30, 9.2)}
    return create_volume(container, dataset, **{**place, "dtype": np.uint8, **options})


def test_other_programs_can_read_it(tmp_path) -> None:
    volume = make(tmp_path / "new/out.zarr", channels=3, attrs={"provenance": {"stage": "test"}})
    values = np.random.default_rng(0).integers(0, 255, (3, 5, 70, 9), dtype=np.uint8)
    volume.write(volume.box, values)
    array = zarr.open(str(tmp_path / "new/out.zarr"), mode="r")["volumes/affs"]
    assert dict(array.attrs) == {"resolution": [40, 10, 4.6], "offset": [120, 30, 9.2],
                                 "voxel_size": [40, 10, 4.6], "units": ["nm"] * 3, "axis_names": ["c^", "z", "y", "x"],
                                 "types": ["channel", "space", "space", "space"], "provenance": {"stage": "test"}}
    assert isinstance(array.attrs["resolution"][0], int)  # gunpowder 1.4 wants whole numbers to be int
    assert (array.chunks, array.compressor.codec_id, array.compressor.level) == ((3, 5, 64, 9), "gzip", 5)
    np.testing.assert_array_equal(array[:], values)
    assert open_volume(tmp_path / "new/out.zarr", "volumes/affs").attrs["provenance"] == {"stage": "test"}


def test_chunks_can_be_chosen(tmp_path) -> None:
    assert make(tmp_path / "out.zarr", chunks=(2, 10, 9)).chunks == (2, 10, 9)


def test_what_is_written_outside_is_dropped(tmp_path) -> None:
    volume = make(tmp_path / "out.zarr")
    volume.write(Box((3, 68, -1), (7, 72, 3)), np.full((4, 4, 4), 5, np.uint8))
    written = np.zeros((5, 70, 9), np.uint8)
    written[3:, 68:, :3] = 5
    np.testing.assert_array_equal(volume.read(), written)
    volume.write(Box((9, 0, 0), (10, 1, 1)), np.ones((1, 1, 1), np.uint8))  # wholly outside: nothing
    np.testing.assert_array_equal(volume.read(), written)


def test_an_output_that_exists_is_kept(tmp_path) -> None:
    volume = make(tmp_path / "out.zarr")
    volume.write(Box((0, 0, 0), (1, 1, 1)), np.ones((1, 1, 1), np.uint8))
    with pytest.raises(UserError, match="exists already"):
        make(tmp_path / "out.zarr")
    assert volume.read().sum() == 1
    assert make(tmp_path / "out.zarr", shape=(2, 2, 2), overwrite=True).shape == (2, 2, 2)
    assert sorted(p.name for p in (tmp_path / "out.zarr/volumes").iterdir()) == [".zgroup", "affs"]  # nothing left over


def test_two_datasets_in_one_container(tmp_path) -> None:
    make(tmp_path / "out.zarr", "volumes/affs").write(Box((0, 0, 0), (1, 1, 1)), np.ones((1, 1, 1), np.uint8))
    make(tmp_path / "out.zarr", "volumes/lsds")
    assert open_volume(tmp_path / "out.zarr", "volumes/affs").read().sum() == 1


def test_places_that_are_taken(tmp_path) -> None:
    make(tmp_path / "out.zarr", "volumes/affs")
    with pytest.raises(UserError, match="is a dataset, so that"):
        make(tmp_path / "out.zarr", "volumes/affs/inner")
    with pytest.raises(UserError, match="is no dataset's name"):
        make(tmp_path / "out.zarr", "../affs")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/letter.txt").write_text("dear")
    with pytest.raises(UserError, match="exists, and is no zarr group"):
        make(tmp_path / "mine")
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["letter.txt"]


def test_opened_for_reading_it_cannot_be_written(tmp_path) -> None:
    make(tmp_path / "out.zarr")
    volume = open_volume(tmp_path / "out.zarr", "volumes/affs")
    with pytest.raises(AssertionError, match="open for reading only"):
        volume.write(volume.box, np.zeros(volume.shape, np.uint8))
    writable = open_volume(tmp_path / "out.zarr", "volumes/affs", writable=True)
    writable.write(volume.box, np.full(volume.shape, 3, np.uint8))
    assert (volume.read() == 3).all()


def test_values_of_another_type_or_shape_are_a_mistake_of_ours(tmp_path) -> None:
    volume = make(tmp_path / "out.zarr")
    with pytest.raises(AssertionError, match="the values are float64"):
        volume.write(volume.box, np.zeros(volume.shape))
    with pytest.raises(AssertionError, match="values of shape"):
        volume.write(volume.box, np.zeros((1, 1, 1), np.uint8))


def write_block(container, dataset, number) -> None:
    volume = open_volume(container, dataset, writable=True)
    for block in list(volume.box.blocks(volume.chunks))[number::4]:
        volume.write(block, np.full(block.shape, number + 1, np.uint8))


def test_processes_write_their_own_chunks(tmp_path) -> None:
    volume = make(tmp_path / "out.zarr", shape=(13, 40, 9), chunks=(2, 7, 4))
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write_block, args=(tmp_path / "out.zarr", "volumes/affs", n)) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    expected = np.zeros(volume.shape, np.uint8)
    for number, block in enumerate(volume.box.blocks((2, 7, 4))):
        expected[block.slices] = number % 4 + 1
    np.testing.assert_array_equal(volume.read(), expected)


def test_nobody_sees_a_dataset_without_its_metadata(tmp_path) -> None:
    """Another thread looks all the time while a dataset is made again and again."""
    make(tmp_path / "out.zarr", "volumes/first")
    target, seen, done = tmp_path / "out.zarr/volumes/affs", [], threading.Event()

    def look() -> None:
        while not done.is_set():
            with contextlib.suppress(FileNotFoundError):  # between the old one and the new one
                directory = os.open(target, os.O_RDONLY)
                try:
                    seen.append(attributes(directory))
                finally:
                    os.close(directory)

    def attributes(directory: int) -> set[str] | None:
        """Of one that is looked at; None if it has none. One that has been replaced meanwhile does not count."""
        try:
            with open(".zattrs", opener=lambda name, flags: os.open(name, flags, dir_fd=directory)) as file:
                return set(json.load(file))
        except FileNotFoundError:
            if os.fstat(directory).st_ino != target.stat().st_ino:
                raise
            return None

    looking = threading.Thread(target=look)
    looking.start()
    for _ in range(20):
        make(tmp_path / "out.zarr", overwrite=True)
    done.set()
    looking.join()
    assert seen
    assert all(attributes == {"resolution", "offset", "voxel_size", "units", "axis_names", "types"} for attributes in seen)


def test_buckets_are_not_written(tmp_path, monkeypatch) -> None:
    """As a path, the name would make a directory ``s3:`` in the current one."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"s3://bucket/out\.zarr: only zarr directories of this machine"):
        create_volume("s3://bucket/out.zarr", "volumes/raw", (2, 2, 2), (1, 1, 1), (0, 0, 0), "uint8")
    assert not list(tmp_path.iterdir())
