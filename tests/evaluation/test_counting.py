"""Contingency tables against counting in Python, in blocks and relabelled."""

import collections
import re

import numpy as np
import pytest

from lsd_experiments.errors import UserError
from lsd_experiments.evaluation import Contingency, PairCounter, contingency

LARGE = 2**63 + 5  # an id that no signed integer and no double holds


def as_dict(table):
    return {(int(s), int(t)): int(c) for s, t, c in zip(table.segments, table.labels, table.counts, strict=True)}


def counted(segmentation, labels):
    pairs = zip(segmentation.ravel().tolist(), labels.ravel().tolist(), strict=True)
    return dict(collections.Counter((s, t) for s, t in pairs if t))


def test_by_hand():
    table = contingency(np.array([[1, 1, 2], [0, 0, 2]]), np.array([[7, 7, 7], [0, 8, 7]]))
    assert as_dict(table) == {(1, 7): 2, (2, 7): 2, (0, 8): 1}
    assert table.voxels == 5


@pytest.mark.parametrize("objects", [3, 300, 20_000])
def test_as_counted(objects):
    """Few pairs, and more than the table first has room for, with ids over the whole range."""
    rng = np.random.default_rng(objects)
    names = rng.integers(0, 2**64, objects, dtype=np.uint64)
    names[:2] = 0, LARGE
    segmentation, labels = (np.repeat(names[rng.integers(0, objects, 4000)], 5).reshape(4, 50, 100) for _ in range(2))
    table = contingency(segmentation, labels)
    assert as_dict(table) == counted(segmentation, labels)
    assert (np.diff(table.segments.astype(object)) >= 0).all()


def test_neighbouring_large_ids_stay_apart():
    ids = np.array([LARGE, LARGE + 1, LARGE + 1], np.uint64)
    assert as_dict(contingency(ids, ids)) == {(LARGE, LARGE): 1, (LARGE + 1, LARGE + 1): 2}


@pytest.mark.parametrize("block", [1, 3, 8, 100])
def test_blocks_together_are_the_whole(block):
    rng = np.random.default_rng(block)
    segmentation, labels = rng.integers(0, 6, (2, 8, 9, 10))
    counter = PairCounter()
    parts = []
    for z in range(0, 8, block):
        counter.add(segmentation[z:z + block], labels[z:z + block])
        parts.append(contingency(segmentation[z:z + block], labels[z:z + block]))
    whole = as_dict(contingency(segmentation, labels))
    assert as_dict(counter.contingency()) == whole
    assert as_dict(sum(parts[1:], start=parts[0])) == whole
    assert as_dict(parts[0]) != whole or block >= 8  # one block alone is not


def test_slabs_together_are_the_whole(monkeypatch):
    rng = np.random.default_rng(0)
    segmentation, labels = rng.integers(0, 6, (2, 11, 9, 10))
    whole = as_dict(contingency(segmentation, labels))
    monkeypatch.setattr("lsd_experiments.evaluation.counting.SLAB", 200)
    assert as_dict(contingency(segmentation, labels)) == whole == counted(segmentation, labels)


def test_relabelled_as_the_relabelled_volume():
    rng = np.random.default_rng(3)
    fragments, labels = rng.integers(0, 30, (2, 6, 7, 8)).astype(np.uint64)
    lut = np.array([rng.permutation(np.arange(1, 30)), rng.integers(1, 6, 29)])
    lookup = np.zeros(30, np.uint64)
    lookup[lut[0]] = lut[1]
    table = contingency(fragments, labels)
    assert as_dict(table.relabel(lut)) == counted(lookup[fragments], labels)
    assert as_dict(table.relabel(lut)) != as_dict(table)
    assert table.relabel(lut).voxels == table.voxels


def test_fragments_without_an_entry_become_zero():
    table = contingency(np.array([0, 3, 9, LARGE], np.uint64), np.array([1, 1, 1, 1]))
    assert as_dict(table.relabel([[3], [5]])) == {(0, 1): 3, (5, 1): 1}
    assert as_dict(table.relabel(np.empty((2, 0)))) == {(0, 1): 4}
    everything = np.array([[3, 9, LARGE], [3, 3, LARGE]], np.uint64)
    assert as_dict(table.relabel(everything)) == {(0, 1): 1, (3, 1): 2, (LARGE, 1): 1}


def test_equal_pairs_are_added():
    assert as_dict(Contingency.of_pairs([2, 1, 2], [1, 1, 1], [5, 6, 7])) == {(1, 1): 6, (2, 1): 12}
    assert len(Contingency.of_pairs([], [], []).counts) == 0


def test_a_refused_block_leaves_the_counts_as_they_are():
    counter = PairCounter()
    counter.add(np.array([1]), np.array([1]))
    with pytest.raises(UserError, match="both to one region"):
        counter.add(np.array([1, 2]), np.array([1]))
    assert as_dict(counter.contingency()) == {(1, 1): 1}


@pytest.mark.parametrize("which", ["segmentation", "labels"])
def test_what_the_message_about_types_says_works(which):
    values = {"segmentation": np.array([1, 2]), "labels": np.array([3, 3])}
    values[which] = values[which].astype(np.float64)
    with pytest.raises(UserError, match=f"ids of the {which} are of type float64") as caught:
        contingency(**values)
    said = re.search(r"pass (.*)", str(caught.value))[1]
    values[which] = eval(said, dict(values))  # as printed
    assert as_dict(contingency(**values)) == {(1, 3): 1, (2, 3): 1}
