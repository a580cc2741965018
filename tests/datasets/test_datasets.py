"""The facts of the datasets, as the published scripts state them."""

import math

import pytest

from lsd_experiments.datasets import DATASETS, FIB25, HEMI, XPRESS, ZEBRAFINCH


def test_each_dataset_is_found_by_its_name():
    assert set(DATASETS) == {"zebrafinch", "fib25", "hemi", "xpress", "synthetic"}
    assert all(dataset.name == name for name, dataset in DATASETS.items())


def test_direct_and_long_range_neighborhoods():
    direct = ((-1, 0, 0), (0, -1, 0), (0, 0, -1))
    for dataset in DATASETS.values():
        assert dataset.neighborhood(3) == direct
        assert dataset.neighborhood(12)[:3] == direct
        assert all(sum(step != 0 for step in offset) == 1 for offset in dataset.neighborhood(12))
    reach = [tuple(-sum(offset) for offset in FIB25.neighborhood(12)[n : n + 3]) for n in (3, 6, 9)]
    assert reach == [(3, 3, 3), (5, 5, 5), (13, 13, 13)]
    reach = [tuple(-sum(offset) for offset in ZEBRAFINCH.neighborhood(12)[n : n + 3]) for n in (3, 6, 9)]
    assert reach == [(3, 3, 3), (5, 9, 9), (15, 27, 27)]  # z, y, x
    reach = [tuple(-sum(offset) for offset in XPRESS.neighborhood(12)[n : n + 3]) for n in (0, 3, 6, 9)]
    assert reach == [(1, 1, 1), (3, 3, 3), (9, 9, 9), (27, 27, 27)]


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=DATASETS)
def test_a_dataset_is_consistent(dataset):
    assert dataset.lsd_weight in ("labels_mask", "foreground", "foreground_or_masked_out")
    assert dataset.probabilities is None or len(dataset.probabilities) == len(dataset.volumes)
    assert dataset.probabilities is None or math.isclose(sum(dataset.probabilities), 1)
    # Only axes of equal voxels are exchanged.
    assert len({dataset.voxel_size[axis] for axis in dataset.transpose_axes}) == 1
    assert dataset.min_masked == (0.1 if dataset.unlabeled_mask else 0.5)
    assert dataset.loss_divisor in ("nonzero_weights", "sum_of_weights")
    assert dataset.lsd_downsample == 2
    for elastic in filter(None, (dataset.elastic, dataset.elastic_after)):
        assert elastic.subsample == (2 if dataset is XPRESS else 8)
        assert elastic.rotation_interval == (0, math.pi / 2)


def test_published_numbers():
    assert (ZEBRAFINCH.voxel_size, ZEBRAFINCH.sigma) == ((20, 9, 9), 120)
    assert (FIB25.voxel_size, FIB25.sigma) == ((8, 8, 8), 80)
    first = ZEBRAFINCH.elastic
    assert (first.control_point_spacing, first.jitter_sigma) == ((4, 4, 10), (0, 2, 2))
    assert (first.prob_slip, first.prob_shift, first.max_misalign) == (0.05, 0.05, 10)
    before, after = FIB25.elastic, FIB25.elastic_after
    assert before.control_point_spacing == after.control_point_spacing == (40, 40, 40)
    assert (before.jitter_sigma, before.prob_slip, before.prob_shift, before.max_misalign) == ((0, 0, 0), 0, 0, 0)
    assert (after.jitter_sigma, after.prob_slip, after.prob_shift, after.max_misalign) == ((2, 2, 2), 0.01, 0.01, 1)
    weights = [dataset.lsd_weight for dataset in (ZEBRAFINCH, FIB25, HEMI)]
    assert weights == ["labels_mask", "foreground_or_masked_out", "foreground"]
    assert [dataset.affs_masked for dataset in (ZEBRAFINCH, FIB25, HEMI)] == [True, False, True]


def test_published_numbers_of_xpress():
    assert XPRESS.voxel_size == (33, 33, 33)
    assert (XPRESS.learning_rate, XPRESS.save_every, XPRESS.snapshot_every) == (2.5e-5, 20_000, 5_000)
    assert (XPRESS.noise_variance, XPRESS.min_masked, XPRESS.label_padding) == (0.01, 0.1, (32, 32, 32))
    assert (XPRESS.elastic.control_point_spacing, XPRESS.elastic.jitter_sigma) == ((10, 10, 10), (2, 2, 2))
    assert XPRESS.transpose_axes == (0, 1, 2)
    assert XPRESS.unlabeled_mask == "volumes/training_gt_unlabeled_mask"
