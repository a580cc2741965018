"""Where outputs may lie: against brute force."""

import itertools
import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box
from lsd_experiments.training.data import open_sample
from lsd_experiments.training.places import find_places

OUTPUT, PADDING = (2, 5, 4), (4, 9, 7)
SHAPE = (6, 9, 8)


def make_sample(write_volume, dataset, path, mask):
    raw = np.zeros((10, 14, 12), np.uint8)
    labels = np.ones(SHAPE, np.uint64)
    return open_sample(dataset, write_volume(path / "a.zarr", raw, labels, mask, inside=(2, 3, 1)))


def cover(mask, begin):
    """The share of an output at ``begin`` (from raw's first voxel) that the mask covers."""
    box = Box.of_shape(OUTPUT, [b - i for b, i in zip(begin, (2, 3, 1), strict=True)]).intersect(Box.of_shape(SHAPE))
    return 0 if box.empty else np.count_nonzero(mask[box.slices]) / np.prod(OUTPUT)


@pytest.mark.parametrize("least", [0.5, 0.9, 0.2])
@pytest.mark.parametrize("seed", [None, 1, 2])
def test_equals_brute_force(write_volume, dataset, tmp_path, least, seed):
    mask = np.random.default_rng(seed).random(SHAPE) < 0.7 if seed else np.ones(SHAPE)
    if seed == 2:
        mask[:, 4:] = 0
    sample = make_sample(write_volume, dataset, tmp_path, mask.astype(np.uint8) * 255)
    expected = {
        begin
        for begin in itertools.product(range(-9, 15), range(-15, 22), range(-15, 19))
        if cover(mask, begin) >= least
    }
    if not expected:
        with pytest.raises(UserError, match="leaves no place"):
            find_places(sample, OUTPUT, PADDING, least)
        return
    places = find_places(sample, OUTPUT, PADDING, least)
    found = {tuple(int(v) for v in np.add(places.origin, index)) for index in np.argwhere(places.allowed)}
    assert found == expected


def test_without_a_mask_all_labels_count(write_volume, dataset, tmp_path):
    sample = make_sample(write_volume, dataset, tmp_path, None)
    assert sample.labels_mask is None
    places = find_places(sample, OUTPUT, PADDING, 1.0)
    assert places.allowed.all()
    assert places.allowed.shape == tuple(s - o + 1 for s, o in zip(SHAPE, OUTPUT, strict=True))
    assert places.origin == (2, 3, 1)


def test_no_place_beyond_the_padding(write_volume, dataset, tmp_path):
    sample = make_sample(write_volume, dataset, tmp_path, None)
    places = find_places(sample, OUTPUT, (0, 1, 0), 0.5)
    assert places.origin == (2, 2, 1)
    assert find_places(sample, OUTPUT, PADDING, 0.5).origin == (1, 0, -1)


def test_draws_are_of_all_places_alike_and_seeded(write_volume, dataset, tmp_path):
    mask = np.zeros(SHAPE, np.uint8)
    mask[1, 2:8, 3:8] = mask[4, 2:8, 3:8] = 1
    places = find_places(make_sample(write_volume, dataset, tmp_path, mask), OUTPUT, PADDING, 0.5)
    allowed = {tuple(int(v) for v in np.add(places.origin, index)) for index in np.argwhere(places.allowed)}
    random.seed(4)
    draws = [places.draw() for _ in range(300 * len(allowed))]
    counts = Counter(draws)
    assert set(counts) == allowed
    assert 200 < min(counts.values()) <= max(counts.values()) < 400
    random.seed(4)
    assert [places.draw() for _ in range(20)] == draws[:20]
    random.seed(5)
    assert [places.draw() for _ in range(20)] != draws[:20]


def test_an_output_larger_than_the_labels(write_volume, dataset, tmp_path):
    sample = make_sample(write_volume, dataset, tmp_path, None)
    assert find_places(sample, (8, 9, 8), (9, 9, 9), 0.5).allowed.any()  # covered by 6 / 8
    with pytest.raises(UserError, match=r"voxels are too few: they cover at most 6% .* 50% are needed.*--input-shape"):
        find_places(sample, (24, 18, 16), (24, 24, 24), 0.5)
    masked = make_sample(write_volume, dataset, tmp_path, np.ones(SHAPE, np.uint8))
    with pytest.raises(UserError, match=r"neuron_ids: .* too few") as error:  # there is nothing to correct in the mask
        find_places(masked, (24, 18, 16), (24, 24, 24), 0.5)
    assert "mask" not in str(error.value)


def test_one_section_without_a_mask(write_volume, dataset, tmp_path, objects):
    """It is not told to correct a mask."""
    one = write_volume(tmp_path / "a.zarr", np.zeros((1, 40, 50), np.uint8), objects((1, 30, 40)), None, inside=(0, 5, 5))
    with pytest.raises(UserError, match=r"\(1, 30, 40\) voxels are too few: .* 25% .*larger volume") as error:
        find_places(open_sample(dataset, one), (4, 20, 16), (9, 9, 9), 0.5)
    assert "mask" not in str(error.value)
    find_places(open_sample(dataset, one), (1, 20, 16), (9, 9, 9), 0.5)


def test_an_empty_mask(write_volume, dataset, tmp_path):
    sample = make_sample(write_volume, dataset, tmp_path, np.zeros(SHAPE, np.uint8))
    with pytest.raises(UserError, match=r"labels_mask: leaves no place to train on: the mask covers at most 0%"):
        find_places(sample, OUTPUT, PADDING, 0.5)
    find_places(replace(sample, labels_mask=None), OUTPUT, PADDING, 0.5)
