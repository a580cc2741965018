"""Chunks of training volumes that are decoded once."""

import errno
import multiprocessing
from dataclasses import replace

import numpy as np
import pytest

from lsd_experiments import arrays
from lsd_experiments.geometry import Box
from lsd_experiments.training.decoded import Room

SHAPE, CHUNKS = (20, 33, 40), (8, 16, 16)


class Counting:
    """An array that notes how many voxels were read of it, and how many at a time."""

    def __init__(self, array):
        self.array, self.voxels, self.most = array, 0, 0
        self.shape, self.dtype, self.chunks = array.shape, array.dtype, array.chunks

    def __getitem__(self, index):
        values = self.array[index]
        self.voxels += values.size
        self.most = max(self.most, values.size)
        return values


@pytest.fixture
def volume(tmp_path):
    values = np.random.default_rng(0).integers(0, 2**40, SHAPE, dtype=np.uint64)
    made = arrays.create_volume(tmp_path / "volume.zarr", "ids", SHAPE, (8, 8, 8), (0, 0, 0), np.uint64, chunks=CHUNKS)
    made.write(made.box, values)
    opened = arrays.open_volume(tmp_path / "volume.zarr", "ids")
    return replace(opened, array=Counting(opened.array))


def boxes(shape, count=40):
    rng = np.random.default_rng(1)
    for _ in range(count):
        begin = rng.integers(0, np.array(shape) - 1)
        yield Box(tuple(map(int, begin)), tuple(map(int, rng.integers(begin + 1, np.array(shape) + 1))))


@pytest.mark.parametrize("part", [Box.of_shape(SHAPE), Box((3, 5, 16), (18, 33, 39))], ids=["whole", "crop"])
def test_reads_what_the_volume_does_and_each_chunk_once(volume, part):
    volume = volume.crop(part)
    decoded = Room().decoded(volume)
    read = {box: volume.read(box) for box in (*boxes(volume.shape), volume.box)}
    volume.array.voxels = 0
    for box, values in read.items():
        np.testing.assert_array_equal(decoded.read(volume, box), values)
    assert volume.array.voxels == np.prod(volume.shape)


@pytest.mark.parametrize("chunks", [1, 12])
def test_pieces_are_small(volume, monkeypatch, chunks):
    monkeypatch.setattr("lsd_experiments.training.decoded.PIECE", chunks * 8 * int(np.prod(CHUNKS)))
    decoded = Room().decoded(volume)
    np.testing.assert_array_equal(decoded.read(volume, volume.box), volume.read())
    volume.array.voxels = volume.array.most = 0
    Room().decoded(volume).read(volume, volume.box)
    assert volume.array.voxels == np.prod(SHAPE)
    assert np.prod(CHUNKS) <= volume.array.most <= chunks * np.prod(CHUNKS)


def test_what_lies_outside_is_zero(volume):
    box = Box((-2, 30, 0), (3, 36, 4))
    np.testing.assert_array_equal(Room().decoded(volume).read(volume, box), volume.read(box))


def test_what_is_read_is_a_copy(volume):
    decoded, box = Room().decoded(volume), Box((0, 0, 0), (4, 4, 4))
    decoded.read(volume, box)[:] = 0
    assert decoded.read(volume, box).all()


def test_room_ends(volume, tmp_path):
    size = 8 * int(np.prod(SHAPE))
    room = Room(2 * size - 1)
    assert room.decoded(volume) is not None
    assert room.decoded(volume) is None
    np.save(tmp_path / "mapped.npy", np.zeros(SHAPE, np.uint8))
    mapped = arrays.open_volume(tmp_path / "mapped.npy", "", voxel_size=(8, 8, 8))
    assert Room().decoded(mapped) is None, "it is mapped into memory as it is"


def test_where_memory_is_refused_all_is_read_as_it_is(volume):
    """Under ulimit -v, say, which what is available knows nothing of."""
    def refused(*arguments):
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    room = Room(left := 10**9)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lsd_experiments.training.decoded.mmap.mmap", refused)
        assert room.decoded(volume) is None
    assert room.left == left
    assert room.decoded(volume) is not None


def test_workers_share_the_memory_and_nothing_else(volume):
    """What one process decodes is there for others, who still decode what they have not seen."""
    decoded, box = Room().decoded(volume), Box((0, 0, 0), SHAPE)
    worker = multiprocessing.get_context("fork").Process(target=decoded.read, args=(volume, box))
    worker.start()
    worker.join()
    assert worker.exitcode == 0
    np.testing.assert_array_equal(decoded.values, volume.read(box))
    assert not decoded.there.any()
