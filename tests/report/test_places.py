"""Blocks, and the worst errors, where they were put."""

import numpy as np
import pytest

from lsd_experiments.arrays import open_volume
from lsd_experiments.evaluation import contingency, scores
from lsd_experiments.geometry import Box
from lsd_experiments.report import compare, read_results
from lsd_experiments.report.blocks import block_shape, count
from lsd_experiments.report.places import window, worst
from tests.report.making import MERGED, SHAPE, TOUCHING, VOXEL_SIZE


@pytest.fixture(scope="module")
def counted(results):
    found = {}
    for comparison in compare(read_results([str(results)])):
        for variant in comparison.variants:
            for result, chosen in zip(variant.results, variant.chosen, strict=True):
                if comparison.kind == "labels":
                    found[result.network] = count(result, chosen, about=20), chosen
                else:
                    assert count(result, chosen) is None
    return found


def test_blocks_are_the_whole(counted, results):
    labels = open_volume(results / "volume.zarr", "volumes/labels/neuron_ids").read()
    one, chosen = counted["seed1/mtlsd"]
    assert len(one.boxes) >= 20
    assert sum(np.prod(box.shape) for box in one.boxes) == np.prod(SHAPE)
    segments = one.segments_in(Box.of_shape(SHAPE))
    assert scores(contingency(segments, labels))["voi_sum"] == pytest.approx(chosen.row["voi_sum"])
    for box, table in list(zip(one.boxes, one.tables, strict=True))[::7]:
        expected = contingency(segments[box.slices], labels[box.slices])
        assert all(np.array_equal(getattr(table, key), getattr(expected, key)) for key in ("segments", "labels", "counts"))


def test_the_worst_split(counted):
    place = worst(counted["seed0/mtlsd"][0], "split")
    assert (place.whole, place.cost) == (12, pytest.approx(counted["seed0/mtlsd"][1].row["voi_split"], rel=1e-6))
    assert place.at[0] in (15, 16)  # the cut
    assert all(13 <= at < 23 for at in place.at[1:])


def test_the_worst_merge(counted):
    place = worst(counted["seed1/baseline"][0], "merge")
    assert sorted(place.parts) == sorted(MERGED)
    assert place.cost == pytest.approx(counted["seed1/baseline"][1].row["voi_merge"], rel=1e-6)
    assert place.at[1] < TOUCHING[1].stop
    assert place.at[2] in (9, 13)  # where one label is nearest to the other
    assert "covers labels" in place.words


def test_what_is_right_has_no_worst(counted):
    assert worst(counted["seed0/mtlsd"][0], "merge") is None
    assert worst(counted["seed0/baseline"][0], "split") is None or counted["seed0/baseline"][1].row["voi_split"] > 0


@pytest.mark.parametrize("about", [1, 8, 64, 10**6])
def test_blocks_are_nearly_cubes(about):
    shape = block_shape((40, 100, 100), VOXEL_SIZE, about)
    parts = np.prod([-(-s // b) for s, b in zip((40, 100, 100), shape, strict=True)])
    assert parts >= min(about, 40 * 100 * 100) * 0.5
    if about == 64:
        assert np.ptp([s * v for s, v in zip(shape, VOXEL_SIZE, strict=True)]) < 100


def test_windows_stay_inside():
    box = Box((2, 10, 20), (8, 50, 90))
    assert window((3, 11, 88), box, (20, 30)) == Box((3, 10, 60), (4, 30, 90))
    assert window((3, 30, 50), box, (400, 400)) == Box((3, 10, 20), (4, 50, 90))
