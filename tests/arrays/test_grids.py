"""nm to voxels of a volume, and whether two volumes fit."""

from dataclasses import replace

import numpy as np
import pytest

from lsd_experiments.arrays import check_labels, check_voxel_size, open_volume, overlap, to_box
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box


@pytest.fixture
def volume(sample):
    return open_volume(sample.container, "volumes/raw")


def test_to_box(volume) -> None:
    assert to_box(volume, volume.offset, (200, 70, 9 * 4.6)) == volume.box
    assert to_box(volume, (160, 50, 6 * 4.6), (80, 40, 9.2)) == Box((1, 2, 3), (3, 6, 5))


def test_voxels_of_a_third_of_100_nm(volume) -> None:
    thirds = replace(volume, voxel_size=(100 / 3,) * 3, offset=(0, 0, 0))
    assert to_box(thirds, (33.333, 100, 66.667), (100, 33.3334, 66.6667)) == Box((1, 3, 2), (4, 4, 4))


@pytest.mark.parametrize(("begin", "size", "message"), [
    ((120, 30, 13.8), (240, 70, 41.4), r"outside of .*raw, which covers \(120, 30, 13.8\) to \(320, 100, 55.2\)"),
    ((80, 30, 13.8), (40, 10, 4.6), "reaches outside"),
    ((0, 0, 0), (40, 10, 4.6), "reaches outside"),
    ((120, 36, 13.8), (40, 10, 4.6), r"not on the voxel grid .* Take \(120, 40, 13.8\) and \(40, 10, 4.6\)"),
    ((120, 30, 13.8), (40, 10, 5), r"not on the voxel grid .* Take \(120, 30, 13.8\) and \(40, 10, 4.6\)"),
    ((120, 30, 13.8), (0, 10, 4.6), "holds no voxel"),
    ((120, float("nan"), 13.8), (40, 10, 4.6), "is not of finite numbers"),
    ((120, 30, 13.8), (float("inf"), 10, 4.6), "is not of finite numbers"),
    ((120, 30), (40, 10), "three numbers"),
])
def test_rois_that_are_wrong(volume, begin, size, message) -> None:
    with pytest.raises(UserError, match=message):
        to_box(volume, begin, size)


def test_overlap(volume) -> None:
    other = replace(volume, offset=(200, 10, 13.8))  # 2 voxels later in z, 2 earlier in y
    assert overlap(volume, volume) == (volume.box, volume.box)
    assert overlap(volume, other) == (Box((2, 0, 0), (5, 5, 9)), Box((0, 2, 0), (3, 7, 9)))
    first, second = overlap(other, volume)
    assert (first, second) == (Box((0, 2, 0), (3, 7, 9)), Box((2, 0, 0), (5, 5, 9)))


@pytest.mark.parametrize(("change", "message"), [
    ({"offset": (320, 30, 13.8)}, r"\(120, 30, 13.8\) to \(320, 100, 55.2\) nm\) and .* do not overlap"),
    ({"offset": (130, 30, 13.8)}, "lie between those of"),
    ({"voxel_size": (40, 10, 5)}, r"voxels of \(40, 10, 5\) nm, not \(40, 10, 4.6\) nm, that of"),
])
def test_volumes_that_do_not_fit(volume, change, message) -> None:
    with pytest.raises(UserError, match=message):
        overlap(volume, replace(volume, **change))


def test_voxel_size(volume) -> None:
    check_voxel_size(volume, (40, 10, 4.6))
    with pytest.raises(UserError, match=r"not \(8, 8, 8\) nm, that of the experiment"):
        check_voxel_size(volume, (8, 8, 8))


def test_labels(sample, volume) -> None:
    check_labels(open_volume(sample.container, "volumes/labels/neuron_ids"))
    with pytest.raises(UserError, match="has 3 channels; labels are"):
        check_labels(open_volume(sample.container, "volumes/affs"))
    with pytest.raises(UserError, match="is of type float32; labels are integers"):
        check_labels(replace(volume, array=np.zeros((5, 7, 9), np.float32)))
