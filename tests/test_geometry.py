"""Boxes against brute force over voxels, and nanometres that are fractions."""

import itertools
import random

import numpy as np
import pytest

from lsd_experiments.geometry import Box, to_nm, to_voxels


def voxels(box):
    return set(itertools.product(*(range(b, e) for b, e in zip(box.begin, box.end, strict=True))))


def random_boxes(count):
    draw = random.Random(1)
    for _ in range(count):
        begin = tuple(draw.randint(-4, 4) for _ in range(3))
        yield Box.of_shape([draw.randint(0, 4) for _ in range(3)], begin)


def test_set_operations_equal_those_on_sets_of_voxels():
    boxes = list(random_boxes(60))
    for a, b in zip(boxes[:30], boxes[30:], strict=True):
        both = a.intersect(b)
        assert voxels(both) == voxels(a) & voxels(b)
        assert both.empty == (not voxels(both))
        assert np.prod(both.shape) == len(voxels(both))
        if voxels(b):
            assert a.contains(b) == (voxels(b) <= voxels(a))


def test_grow_and_shift():
    box = Box((1, 2, 3), (4, 6, 8))
    assert box.shape == (3, 4, 5)
    assert box.grow((1, 0, 2)) == Box((0, 2, 1), (5, 6, 10))
    assert box.grow((-2, 0, 0)).shape == (0, 4, 5)  # never negative
    assert box.grow((-2, 0, 0)).empty
    assert box.shift((-1, 1, 0)) == Box((0, 3, 3), (3, 7, 8))
    assert Box.of_shape((3, 4, 5)).begin == (0, 0, 0)


def test_slices_index_an_array():
    array = np.arange(60).reshape(3, 4, 5)
    box = Box((1, 0, 2), (3, 4, 3))
    assert array[box.slices].shape == box.shape
    assert array[box.slices][0, 0, 0] == array[1, 0, 2]
    with pytest.raises(AssertionError, match="starts before"):
        _ = Box((-1, 0, 0), (1, 1, 1)).slices


@pytest.mark.parametrize("shape", [(2, 3, 4), (7, 5, 6), (10, 10, 10)])
def test_blocks_cover_each_voxel_once(shape):
    box = Box((-1, 2, 0), (6, 7, 6))
    blocks = list(box.blocks(shape))
    assert all(block.shape == shape for block in blocks)
    covered = [voxel for block in blocks for voxel in voxels(block.intersect(box))]
    assert len(covered) == len(set(covered))
    assert set(covered) == voxels(box)
    assert [block.begin for block in blocks] == sorted(block.begin for block in blocks)


@pytest.mark.parametrize("voxel_size", [(20.0, 9.0, 9.0), (50, 4.6, 4.6), (100 / 3, 100 / 3, 0.1)])
def test_nanometres_of_whole_voxels_come_back(voxel_size):
    for count in ((0, 1, 2), (-3, 7, 1000), (99_999, 3, 12_345)):
        assert to_voxels(to_nm(count, voxel_size), voxel_size) == count


def test_what_is_off_the_grid_is_none():
    assert to_voxels((20, 9, 13.5), (20, 9, 9)) is None
    assert to_voxels((20, 9, 9.0001), (20, 9, 9)) == (1, 1, 1)
    assert to_voxels((20, 9, 9.1), (20, 9, 9)) is None
