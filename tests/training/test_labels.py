"""Labels and masks of all types in training: the same batches, or an error before the first one."""

import gunpowder as gp
import numpy as np
import pytest
import zarr

from lsd_experiments.errors import UserError
from lsd_experiments.masks import command
from lsd_experiments.sources import cause_of, world_units
from lsd_experiments.training.data import open_sample
from lsd_experiments.training.keys import LABELS, LABELS_MASK
from lsd_experiments.training.places import find_places
from lsd_experiments.training.sources import sample_source

MASK = "volumes/labels/labels_mask"


def write(path, write_volume, labels, mask):
    """The volume, its mask of any type."""
    container = write_volume(path, labels=labels, mask=None)
    made = zarr.open(container)
    made[MASK] = mask
    made[MASK].attrs.update(made["volumes/labels/neuron_ids"].attrs.asdict())
    return container


def read(sample):
    """All labels and their mask, as batches have them."""
    source = sample_source(sample, world_units(sample.labels.voxel_size))
    with gp.build(source):
        request = gp.BatchRequest()
        for key in (LABELS, LABELS_MASK):
            request[key] = gp.ArraySpec(roi=source.spec[key].roi)
        batch = source.request_batch(request)
    return batch[LABELS].data, batch[LABELS_MASK].data


@pytest.fixture
def labels(objects):
    """The objects, with -1 and -5 in places."""
    values = objects(dtype=np.int64)
    values[7, 8, 9], values[20:, 50:, 40:] = -5, -1
    return values


def test_negative_labels_are_refused_and_masked_by_what_the_message_says(dataset, write_volume, tmp_path, labels):
    container = write_volume(tmp_path / "a.zarr", labels=labels, mask=None)
    with pytest.raises(UserError, match=r"a.zarr:volumes/labels/neuron_ids: holds the id -5 at voxel \(7, 8, 9\).*"
                                        r"01_data/create_masks.py (.*)") as caught:
        open_sample(dataset, container)
    arguments = str(caught.value).rpartition("create_masks.py ")[2].split()
    command.create_masks(command._parser(None).parse_args(arguments), tmp_path, tmp_path)
    sample = open_sample(dataset, container)
    found, mask = read(sample)
    np.testing.assert_array_equal(found, np.where(labels < 0, 0, labels))
    np.testing.assert_array_equal(mask, labels >= 0)


def test_a_volume_too_large_to_be_searched_is_checked_as_it_is_read(dataset, write_volume, tmp_path, labels, monkeypatch):
    from lsd_experiments.arrays import labels as module

    container = write_volume(tmp_path / "a.zarr", labels=labels, mask=None)
    monkeypatch.setattr(module, "SEARCHED", 10)
    sample = open_sample(dataset, container)
    with pytest.raises(Exception, match=r"BatchRequestError|PipelineRequestError|holds") as caught:
        read(sample)
    cause = cause_of(caught.value)
    assert isinstance(cause, UserError)
    assert "holds the id -5 at voxel (7, 8, 9)" in str(cause)


@pytest.mark.parametrize(("dtype", "one"), [
    ("uint8", 1), ("uint8", 255), ("uint16", 256), ("int64", 2**32), ("int8", -1), ("bool", True), ("float32", 1), ("float64", 7),
])
def test_a_mask_of_any_type(dataset, write_volume, tmp_path, objects, dtype, one):
    mask = np.zeros(objects().shape, dtype)
    mask[:, 5:, 10:] = one
    sample = open_sample(dataset, write(tmp_path / "a.zarr", write_volume, objects(), mask))
    np.testing.assert_array_equal(read(sample)[1], mask != 0)
    assert read(sample)[1].dtype == np.uint8
    places = find_places(sample, (4, 20, 16), (0, 0, 0), 1.0)
    expected = np.zeros(places.allowed.shape, bool)
    expected[:, 5:, 10:] = True
    np.testing.assert_array_equal(places.allowed, expected)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int64", "uint64"])
def test_labels_of_any_integer_type(dataset, write_volume, tmp_path, objects, dtype):
    values = objects(dtype=np.uint64) % 100
    sample = open_sample(dataset, write_volume(tmp_path / "a.zarr", labels=values.astype(dtype), mask=None))
    np.testing.assert_array_equal(read(sample)[0], values)
