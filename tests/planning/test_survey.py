"""What is found in data whose answer can be seen."""

from pathlib import Path

import numpy as np
import pytest

from lsd_experiments.arrays import create_volume, open_volume
from lsd_experiments.families.lsd.planning import objects, survey
from lsd_experiments.families.lsd.planning.sections import look_at_raw

FIB25 = Path(__file__).parents[3] / "shared/data/fib25/training_sample2_z0-160.zarr"
VOXEL_SIZE = (20, 9, 8)


def boxes(shape=(12, 24, 30), sides=(4, 6, 5)):
    """Boxes of ``sides``, an id each, without background."""
    z, y, x = np.indices(shape)
    return (1 + (z // sides[0]) * 10000 + (y // sides[1]) * 100 + x // sides[2]).astype(np.uint64)


def test_lengths_along_an_axis():
    labels = np.array([[[1, 1, 2, 0, 0, 0, 2]]])
    assert objects.run_lengths(labels, 2).ravel().tolist() == [2, 2, 1, 3, 3, 3, 1]
    assert objects.run_lengths(labels, 0).ravel().tolist() == [1] * 7
    assert objects.run_lengths(boxes(), 1).min() == objects.run_lengths(boxes(), 1).max() == 6


def test_boxes_are_as_wide_as_their_shortest_side():
    """Sides of 80, 54 and 40 nm."""
    found = objects.look_at([boxes()], VOXEL_SIZE)
    assert (found.width, found.thin, found.labelled) == (40, (80, 54, 40), 1)
    assert sorted(set(found.sizes.tolist())) == [4 * 6 * 5]
    assert len(found.sizes) == 3 * 4 * 6
    assert found.apart == ()


def test_what_is_not_labelled():
    labels = boxes()
    labels[:, :, 15:] = 0
    found = objects.look_at([labels, np.zeros_like(labels)], VOXEL_SIZE)
    assert found.labelled == 0.25
    assert found.width == 40
    nothing = objects.look_at([np.zeros_like(labels)], VOXEL_SIZE)
    assert (nothing.width, len(nothing.sizes), nothing.labelled) == (0, 0, 0)


def test_objects_that_fall_apart():
    """One part lies free in the block; of parts that touch its faces nobody knows."""
    labels = np.zeros((9, 20, 21), np.uint64)
    labels[2:4, 2:4, 2:4] = labels[5:7, 10:12, 10:12] = 7  # two free parts
    labels[0:2, 18:, 0:3] = labels[8:, 0:3, 18:] = 2**40  # two at faces
    labels[4:5, 15:17, 3:5] = 9  # one part
    assert objects.falling_apart(labels) == [7]
    labels[3:6, 3:12, 3:12] = 7
    assert objects.falling_apart(labels) == []


@pytest.mark.skipif(not FIB25.is_dir(), reason="the FIB-25 sample is not here (../shared/data/fib25)")
def test_the_width_of_fib25():
    """Two fifths of it are 83 nm; 80 were published."""
    labels = open_volume(FIB25, "volumes/labels/neuron_ids").read()
    assert objects.look_at([labels], (8, 8, 8)).width == 208


@pytest.fixture
def raw(tmp_path):
    """100 sections, of which some are wrong."""
    values = np.random.default_rng(0).integers(40, 200, (100, 30, 40)).astype(np.uint8)
    values[3], values[50] = 0, 17
    values[31] = values[30]  # where one slab ends and the next begins
    values[70] = values[69]
    values[80, :10] = 255
    volume = create_volume(str(tmp_path / "raw.zarr"), "volumes/raw", values.shape, VOXEL_SIZE, (40, -9, 16), values.dtype)
    volume.write(volume.box, values)
    return volume


def test_sections_that_are_wrong(raw):
    found = look_at_raw(raw)
    assert (found.empty, found.repeated, found.saturated, found.sections_seen) == ([3, 50], [31, 70], [80], 100)
    assert found.percentiles[2] == pytest.approx(119, abs=2)


def test_blocks_of_a_large_volume(monkeypatch):
    monkeypatch.setattr(survey, "WHOLE", 10_000)
    boxes_ = list(survey._boxes((1000, 50, 3000), (40, 4, 4)))
    assert len(boxes_) == survey.BLOCKS
    assert all(box.shape == (21, 50, 207) for box in boxes_)  # about cubes in the world, where there is room
    assert len(set(boxes_)) > 10
    assert boxes_ == list(survey._boxes((1000, 50, 3000), (40, 4, 4)))
    assert [box.shape for box in survey._boxes((10, 20, 30), (40, 4, 4))] == [(10, 20, 30)]
