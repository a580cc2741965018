"""Labels that show nothing are refused; a look at a few blocks is enough for those that do."""

from dataclasses import replace

import numpy as np
import pytest

from lsd_experiments.errors import UserError
from lsd_experiments.training import showing
from lsd_experiments.training.data import open_sample
from lsd_experiments.training.showing import check_showing

SHAPE = (24, 60, 56)
ONE_VOXEL = np.zeros(SHAPE, np.uint64)
ONE_VOXEL[20, 3, 50] = 2**63 + 1
OUTSIDE = np.where(np.indices(SHAPE)[0] < 20, 0, 4).astype(np.uint64)


@pytest.fixture
def sample(dataset, write_volume, tmp_path):
    def make(labels, mask=None, **where):
        return open_sample(dataset, write_volume(tmp_path / "a.zarr", labels=labels, mask=mask, **where))
    return make


def test_labels_that_show_an_object_and_its_end(sample, objects):
    for labels, mask in ((objects(), None), (ONE_VOXEL, None), (OUTSIDE, np.ones(SHAPE, np.uint8)), (OUTSIDE + 1, None)):
        check_showing(sample(labels, mask))


@pytest.mark.parametrize(("labels", "mask", "message"), [
    (np.zeros(SHAPE, np.uint8), None, "all labels are 0: there is no object"),
    (np.full(SHAPE, 5, np.int64), None, "all labels are 5: no object ends"),
    (ONE_VOXEL, (ONE_VOXEL == 0).astype(np.uint8), "all labels are 0 where the labels mask counts"),
    (OUTSIDE, 200 * (OUTSIDE > 0).astype(np.uint8), "all labels are 4 where the labels mask counts"),
])
def test_labels_that_do_not(sample, labels, mask, message):
    with pytest.raises(UserError, match=f"neuron_ids: {message}.*--force"):
        check_showing(sample(labels, mask))


def test_labels_outside_of_raw_do_not_show(sample):
    with pytest.raises(UserError, match="all labels are 0"):
        check_showing(sample(OUTSIDE, inside=(20, 15, 12)))  # sections from 20 on have no raw
    check_showing(sample(OUTSIDE, inside=(8, 15, 12)))


def test_a_mask_that_counts_nothing_is_for_the_places_to_say(sample):
    check_showing(sample(OUTSIDE, np.zeros(SHAPE, np.uint8)))


def test_of_large_labels_a_few_blocks_are_read(sample, objects, monkeypatch):
    monkeypatch.setattr(showing, "SIDE", 8)
    monkeypatch.setattr(showing, "BLOCKS", 6)
    read = []
    found = sample(objects())
    monkeypatch.setattr(type(found.labels), "read", lambda volume, box=None: read.append(box) or objects()[box.slices])
    check_showing(found)
    assert len(read) == 1
    monkeypatch.undo()
    monkeypatch.setattr(showing, "SIDE", 8)
    monkeypatch.setattr(showing, "BLOCKS", 6)
    empty = sample(np.zeros(SHAPE, np.uint64))
    with pytest.raises(UserError, match=r"all labels are 0 in the [67] blocks that were looked at"):
        check_showing(empty)
    check_showing(replace(empty, labels=sample(objects()).labels))
