"""The volumes that a training reads: which, with what in common, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from lsd_experiments.datasets import load_dataset
from lsd_experiments.errors import UserError
from lsd_experiments.training.data import find_samples, open_sample
from tests.training.conftest import objects

SETUPS = Path(__file__).parents[2] / "02_train"


def test_labels_and_mask_lie_where_they_are_in_raw(dataset, volume):
    sample = open_sample(dataset, volume)
    assert sample.shift == (8, 15, 12)
    assert sample.labels.shape == sample.labels_mask.shape == (24, 60, 56)
    assert sample.probability == 1


def test_labels_where_there_is_no_raw_do_not_count(dataset, write_volume, tmp_path, objects, caplog):
    path = write_volume(tmp_path / "a.zarr", raw=np.zeros((20, 90, 80), np.uint8), inside=(8, -5, 12))
    sample = open_sample(dataset, path)
    assert sample.shift == (8, 0, 12)
    assert sample.labels.shape == sample.labels_mask.shape == (12, 55, 56)
    np.testing.assert_array_equal(sample.labels.read(), objects()[:12, 5:])
    (said,) = caplog.messages
    assert "neuron_ids sticks out of" in said
    assert "along z 12 behind of 24; along y 5 before of 60 voxels (54.2% of its voxels)" in said


def test_labels_inside_of_raw_are_not_warned_of(dataset, volume, caplog):
    open_sample(dataset, volume)
    assert not caplog.messages


@pytest.mark.parametrize("shape", [(40, 90, 80), (80, 80, 80)])
def test_an_offset_in_another_order(dataset, write_volume, tmp_path, objects, shape):
    """Only where the shapes do not tell: labels of another shape may begin anywhere."""
    import zarr

    path = write_volume(tmp_path / "a.zarr", np.zeros(shape, np.uint8), objects(shape), None, offset=(0, 90, 180),
                        inside=(0, 0, 0))
    assert open_sample(dataset, path).shift == (0, 0, 0)
    zarr.open(path)["volumes/labels/neuron_ids"].attrs["offset"] = [180, 90, 0]
    with pytest.raises(UserError, match=r"\(180, 90, 0\) nm of offset, .* \(0, 90, 180\): .* in another order, x, y, z"):
        open_sample(dataset, path)


def test_a_crop_keeps_its_mask(dataset, volume, tmp_path, objects):
    crop = tmp_path / "crop.json"
    crop.write_text(json.dumps({"container": "volume.zarr", "offset": [420, 180, 171], "size": [300, 270, 360]}))
    sample = open_sample(dataset, str(crop))
    assert sample.raw.shape == sample.labels.shape == sample.labels_mask.shape == (15, 30, 40)
    np.testing.assert_array_equal(sample.labels.read(), objects()[3:18, :30, :40])


@pytest.fixture
def published(tmp_path):
    """A published dataset, whose volumes lie in a directory of the test's."""
    def load(name):
        return load_dataset(SETUPS / name).model_copy(update={"directory": tmp_path / name})

    return load


def fetch(dataset, write_volume, names):
    for name in names:
        write_volume(dataset.directory / name, voxel_size=dataset.voxel_size)


def test_the_datasets_own_volumes_with_their_published_probabilities(published, write_volume):
    fetch(fib25 := published("fib25"), write_volume, [*fib25.volumes, "another.zarr"])
    samples = find_samples(fib25, ())
    assert [(s.raw.container.rsplit("/", 1)[1], s.probability) for s in samples] == [
        ("trvol-250-1.zarr", 0.05),
        ("trvol-250-2.zarr", 0.05),
        ("tstvol-520-1.zarr", 0.45),
        ("tstvol-520-2.zarr", 0.45),
    ]


def test_a_part_of_them_keeps_the_proportions(published, write_volume):
    fetch(fib25 := published("fib25"), write_volume, ["trvol-250-2.zarr", "tstvol-520-1.zarr"])
    assert [sample.probability for sample in find_samples(fib25, ())] == [0.05, 0.45]


def test_published_probabilities_are_not_for_other_volumes(published, write_volume, tmp_path):
    containers = [write_volume(tmp_path / f"{n}.zarr", voxel_size=(8, 8, 8)) for n in range(4)]
    assert [sample.probability for sample in find_samples(published("fib25"), containers)] == [1, 1, 1, 1]


def test_all_zebrafinch_volumes_are_alike(published, write_volume):
    fetch(finch := published("zebrafinch"), write_volume, ["b.zarr", "a.zarr"])
    samples = find_samples(finch, ())
    assert [sample.raw.container[-6:] for sample in samples] == ["a.zarr", "b.zarr"]
    assert [sample.probability for sample in samples] == [1, 1]


def test_no_volumes(published):
    with pytest.raises(UserError, match=r"fib25: no training volumes \(trvol-250-1.zarr.*--data"):
        find_samples(published("fib25"), ())


def test_float_raw_in_range_passes_and_nan_does_not(dataset, write_volume, tmp_path):
    raw = np.random.default_rng(0).random((40, 90, 80), np.float32)
    open_sample(dataset, write_volume(tmp_path / "a.zarr", raw))
    raw[39, 2, 3] = np.nan
    with pytest.raises(UserError, match=r"volumes/raw: the value at \(39, 2, 3\)"):
        open_sample(dataset, write_volume(tmp_path / "a.zarr", raw))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": np.zeros((24, 60, 56), np.float32)}, "neuron_ids is of type float32; labels are integers"),
        ({"voxel_size": (20, 9, 8)}, r"voxels of \(20, 9, 8\) nm, not \(20, 9, 9\) nm, that of zebrafinch"),
        ({"inside": (50, 0, 0)}, "do not overlap"),
        ({"inside": (0.5, 0, 0)}, "lie between"),
        ({"mask": np.ones((24, 60, 55), np.uint8)}, "does not cover the same voxels.*create_masks.py"),
        ({"raw": np.zeros((3, 40, 90, 80), np.uint8)}, r"convert.py \S*a.zarr volumes/raw \S+.zarr volumes/raw --channel 0"),
        ({"raw": np.zeros((40, 90, 80), np.complex64)}, "volumes/raw: arrays of type '<c8' are no volumes"),
        ({"labels": objects((80, 90, 40)), "inside": (0, 0, 0)}, r"\(80, 90, 40\) voxels, .* \(40, 90, 80\): .* order, x, y, z"),
        ({"labels": objects((40, 80, 90)), "inside": (0, 0, 0)}, "order, z, x, y"),
        ({"mask": np.ones((56, 60, 24), np.uint8)}, r"labels_mask has \(56, 60, 24\) voxels, .*order, x, y, z"),
    ],
)
def test_what_cannot_be_trained_on_is_named(dataset, write_volume, tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        open_sample(dataset, write_volume(tmp_path / "a.zarr", **changes))


def test_a_mask_elsewhere_is_refused(dataset, volume):
    import zarr

    mask = zarr.open(volume)["volumes/labels/labels_mask"]
    offset = mask.attrs["offset"]
    mask.attrs["offset"] = [offset[0], offset[1], offset[2] + 1e-4]  # rounding is none
    assert open_sample(dataset, volume).labels_mask is not None
    mask.attrs["offset"] = [offset[0], offset[1], offset[2] + 9]
    with pytest.raises(UserError, match="does not cover the same voxels"):
        open_sample(dataset, volume)


def test_a_missing_dataset_lists_those_that_are_there(dataset, volume):
    with pytest.raises(UserError, match=r"volumes/cells.*volumes/labels/neuron_ids"):
        open_sample(dataset.model_copy(update={"labels": "volumes/cells"}), volume)
