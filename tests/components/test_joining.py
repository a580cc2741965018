"""Components of blocks, put together, against scipy.ndimage.label on the whole volume: the same numbers, for any blocks."""

import numpy as np
import pytest
from scipy import ndimage

from lsd_experiments.components.joining import join_parts, label_parts, touching_across
from lsd_experiments.geometry import Box
from lsd_experiments.segmentation import relabel

RANKS = {6: 1, 18: 2, 26: 3}  # what scipy calls the connectivity


class Array:
    """[z, y, x] that reads as a volume does: 0 outside."""

    def __init__(self, values):
        self.values = values

    def read(self, box):
        found = np.zeros(box.shape, self.values.dtype)
        inside = box.intersect(Box.of_shape(self.values.shape))
        found[inside.shift([-b for b in box.begin]).slices] = self.values[inside.slices]
        return found


def components(mask, block, connectivity, minimum_size=1):
    whole = Box.of_shape(mask.shape)
    blocks = [each.intersect(whole) for each in whole.blocks(block)]
    parts = np.zeros(mask.shape, np.uint64)
    for each in blocks:
        parts[each.slices] = label_parts(mask[each.slices], each.begin, mask.shape, connectivity)
    return relabel(parts, join_parts(Array(parts), blocks, connectivity, minimum_size))


def expected(mask, connectivity, minimum_size=1):
    labels, count = ndimage.label(mask, ndimage.generate_binary_structure(3, RANKS[connectivity]))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    kept = [number for number in range(1, count + 1) if sizes[number] >= minimum_size]
    table = np.zeros(count + 1, np.uint64)
    table[kept] = np.arange(1, len(kept) + 1)
    return table[labels]


@pytest.mark.parametrize("connectivity", RANKS)
@pytest.mark.parametrize("share", [0, 0.1, 0.25, 0.5, 1])
def test_they_are_scipys_for_any_blocks(connectivity, share):
    for shape, blocks in (((7, 11, 9), ((3, 4, 5), (2, 17, 40))), ((1, 5, 12), ((1, 1, 5), (1, 2, 1), (99, 99, 99))),
                          ((4, 3, 2), ((1, 1, 1),))):
        mask = np.random.default_rng(7).random(shape) < share
        wanted = expected(mask, connectivity)
        for block in blocks:
            np.testing.assert_array_equal(components(mask, block, connectivity), wanted)


def test_small_ones_go_by_their_size_in_the_whole_volume():
    mask = np.random.default_rng(3).random((8, 15, 14)) < 0.25
    for size in (2, 5, 30, 10**6):
        np.testing.assert_array_equal(components(mask, (3, 4, 5), 6, size), expected(mask, 6, size))
    assert 0 < components(mask, (3, 4, 5), 6, 5).max() < components(mask, (3, 4, 5), 6).max()  # negative control


@pytest.mark.parametrize(("step", "joined"), [((0, 0, 1), {6, 18, 26}), ((0, -1, 1), {18, 26}), ((1, -1, 1), {26})])
def test_what_touches_across_an_edge_or_a_corner_of_blocks(step, joined):
    mask = np.zeros((4, 4, 4), bool)
    first = (1, 2, 1)
    mask[first] = mask[tuple(f + s for f, s in zip(first, step, strict=True))] = True
    assert {c for c in RANKS if components(mask, (2, 2, 2), c).max() == 1} == joined


def test_pairs_across_planes_come_once():
    planes = np.array([[[1, 1, 0]], [[2, 2, 2]]], np.uint64)
    assert touching_across(planes, 6).tolist() == [[1, 2]]
    planes = np.array([[[1, 0, 0]], [[0, 2, 3]]], np.uint64)
    assert touching_across(planes, 6).tolist() == []
    assert touching_across(planes, 18).tolist() == [[1, 2]]
