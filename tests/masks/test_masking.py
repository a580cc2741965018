"""Masks in memory, voxel by voxel."""

import numpy as np
import pytest

from lsd_experiments.masks import labels_mask, unlabeled_mask

NO_NEURON = 2**64 - 3
LABELS = np.array([[[0, 1, NO_NEURON], [NO_NEURON - 1, NO_NEURON + 1, 5]]], np.uint64)  # ids that are equal as floats


def test_an_excluded_id_does_not_count_and_its_neighbours_do():
    mask = labels_mask(LABELS, [NO_NEURON])
    assert mask.dtype == np.uint8
    assert mask.tolist() == [[[1, 1, 0], [1, 1, 1]]]
    assert labels_mask(LABELS, [0, 5, 7]).tolist() == [[[0, 1, 1], [1, 1, 0]]]


def test_without_excluded_ids_all_labels_count():
    assert labels_mask(LABELS).tolist() == [[[1, 1, 1], [1, 1, 1]]]
    assert labels_mask(LABELS[:0], [3]).shape == (0, 2, 3)


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.int64])
def test_a_negative_label_is_what_it_is_as_uint64(dtype):
    assert labels_mask(np.array([-3, -2, 0, 3], dtype), [NO_NEURON]).tolist() == [0, 1, 1, 1]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
def test_an_id_that_the_type_cannot_hold_excludes_nothing(dtype):
    labels = np.array([0, 253, 3], dtype)  # 2^64 - 3 as uint8 would be 253
    assert labels_mask(labels, [NO_NEURON]).tolist() == [1, 1, 1]
    assert labels_mask(labels, [NO_NEURON, 3]).tolist() == [1, 1, 0]


@pytest.mark.parametrize("number", [3, 300])
def test_many_ids_as_a_loop_over_them(number):
    rng = np.random.default_rng(number)
    labels = rng.integers(0, 500, (7, 8, 9)).astype(np.uint64) + np.uint64(2**63)
    excluded = [int(n) + 2**63 for n in rng.choice(500, number, replace=False)]
    expected = np.ones(labels.shape, np.uint8)
    for voxel in np.ndindex(labels.shape):
        if int(labels[voxel]) in excluded:
            expected[voxel] = 0
    assert 0 < expected.mean() < 1
    np.testing.assert_array_equal(labels_mask(labels, excluded), expected)


def test_unlabeled_is_0_on_0_unless_that_is_included():
    assert unlabeled_mask(LABELS, [NO_NEURON]).tolist() == [[[0, 1, 0], [1, 1, 1]]]
    assert unlabeled_mask(LABELS, [NO_NEURON], include_zero=True).tolist() == [[[1, 1, 0], [1, 1, 1]]]


def test_unlabeled_is_0_where_the_labels_mask_is():
    mask = np.array([[[1, 0, 1], [0, 7, 1]]], np.uint8)
    labelled = unlabeled_mask(LABELS, [NO_NEURON], mask=mask)
    assert labelled.dtype == np.uint8
    assert labelled.tolist() == [[[0, 0, 0], [0, 1, 1]]]
    assert mask.tolist() == [[[1, 0, 1], [0, 7, 1]]]
