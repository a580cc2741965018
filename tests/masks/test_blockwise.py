"""Masks on disk equal those in memory, whatever the chunks, and in bounded memory."""

import math
import tracemalloc

import numpy as np
import pytest

from lsd_experiments.arrays import create_volume, open_volume
from lsd_experiments.geometry import Box
from lsd_experiments.masks import MaskRule, MaskTask, blockwise, labels_mask, unlabeled_mask, write_mask

from .conftest import CHUNKS, LABELS, NO_NEURON, OFFSET, SHAPE, VOXEL_SIZE

MASK = "volumes/labels/labels_mask"


@pytest.fixture(params=[1, 30, 500, 2**22], ids="blocks of {} voxels".format)
def small_blocks(request, monkeypatch):
    """Chunks and blocks from one chunk of the labels to all of them."""
    monkeypatch.setattr(blockwise, "CHUNK_VOXELS", request.param)
    monkeypatch.setattr(blockwise, "BLOCK_VOXELS", request.param)


@pytest.mark.parametrize("name", ["a.zarr", "a.n5", "a.h5"])
def test_on_disk_as_in_memory(write, labels, name, small_blocks):
    container = write(name)
    told = []
    rule = MaskRule((5, NO_NEURON))
    share = write_mask(MaskTask(open_volume(container, LABELS), rule, container, MASK), progress=told.append)
    mask, expected = open_volume(container, MASK), labels_mask(labels, [5, NO_NEURON])
    np.testing.assert_array_equal(mask.read(), expected)
    assert 0.5 < share < 0.9
    assert share == expected.mean()
    assert sum(told) == labels.size
    assert (mask.dtype, mask.voxel_size) == (np.uint8, VOXEL_SIZE)
    assert mask.offset == pytest.approx(OFFSET)


def test_no_chunk_is_written_or_read_twice(write, monkeypatch):
    """The blocks are whole chunks of the mask, and of the labels."""
    monkeypatch.setattr(blockwise, "CHUNK_VOXELS", 2 * math.prod(CHUNKS))
    monkeypatch.setattr(blockwise, "BLOCK_VOXELS", 4 * math.prod(CHUNKS))
    container, boxes = write("a.zarr"), []
    read = blockwise.Volume.read
    monkeypatch.setattr(blockwise.Volume, "read", lambda self, box=None, fill=0: boxes.append(box) or read(self, box, fill))
    write_mask(MaskTask(open_volume(container, LABELS), MaskRule(), container, MASK))
    chunks = open_volume(container, MASK).chunks
    assert chunks == (4, 4, 8)
    assert len(boxes) == 1 * 3 * 2
    for box in boxes:
        assert all(b % m == 0 and b % n == 0 for b, m, n in zip(box.begin, chunks, CHUNKS, strict=True))
    assert sum(math.prod(box.shape) for box in boxes) == math.prod(SHAPE)


@pytest.mark.parametrize(("block", "shape", "voxels", "grown"), [
    ((64, 64, 64), (500, 500, 500), 2**22, (256, 128, 128)),
    ((1, 300, 300), (90, 300, 300), 2**18, (2, 300, 300)),
    ((1, 5000, 5000), (90, 5000, 5000), 2**22, (1, 5000, 5000)),
    ((8, 16, 32), (10, 20, 4000), 2**14, (16, 32, 32)),
    ((4, 4, 4), (3, 3, 3), 2**22, (4, 4, 4)),
])  # fmt: skip
def test_blocks_are_whole_chunks_up_to_a_size(block, shape, voxels, grown):
    assert blockwise.grow(block, shape, voxels) == grown


def test_memory_does_not_grow_with_the_volume(tmp_path, monkeypatch):
    monkeypatch.setattr(blockwise, "BLOCK_VOXELS", 2**15)
    monkeypatch.setattr(blockwise, "CHUNK_VOXELS", 2**15)
    peaks = []
    for sections in (32, 512):
        container = str(tmp_path / f"{sections}.zarr")
        volume = create_volume(container, LABELS, (sections, 64, 64), VOXEL_SIZE, OFFSET, np.uint64, chunks=(32, 32, 32))
        volume.write(volume.box, np.full(volume.shape, 7, np.uint64))
        tracemalloc.start()
        write_mask(MaskTask(volume, MaskRule((7,)), container, MASK))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[0] > 2**15 * 8  # a block of labels at the least
    assert peaks[1] < 1.5 * peaks[0]  # of 16 times the voxels


def test_unlabeled_within_a_mask_that_lies_elsewhere(write, labels, tmp_path):
    """Where there is no labels mask, nothing is labelled."""
    container = write("a.zarr")
    begin = (1, -2, 3)
    offset = [o + b * v for o, b, v in zip(OFFSET, begin, VOXEL_SIZE, strict=True)]
    within = create_volume(container, MASK, (4, 10, 9), VOXEL_SIZE, offset, np.uint8)
    values = np.random.default_rng(1).integers(0, 2, within.shape, np.uint8)
    within.write(within.box, values)
    task = MaskTask(open_volume(container, LABELS), MaskRule((NO_NEURON,), unlabeled=True), container, "unlabeled", within)
    write_mask(task)
    counts = np.zeros(SHAPE, np.uint8)
    counts[1:5, 0:8, 3:12] = values[:, 2:]
    expected = unlabeled_mask(labels, [NO_NEURON], mask=counts)
    assert 0 < expected.mean() < counts.mean()
    np.testing.assert_array_equal(open_volume(container, "unlabeled").read(), expected)


def test_a_mask_of_a_part(write, labels, tmp_path):
    part = open_volume(write("a.zarr"), LABELS).crop(Box((1, 3, 5), (6, 11, 12)))
    write_mask(MaskTask(part, MaskRule((1,)), str(tmp_path / "out.zarr"), MASK))
    mask = open_volume(tmp_path / "out.zarr", MASK)
    assert mask.offset == pytest.approx(part.offset)
    np.testing.assert_array_equal(mask.read(), labels[1:6, 3:11, 5:12] != 1)
