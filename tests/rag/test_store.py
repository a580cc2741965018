"""The region graph's store, on each database."""

from multiprocessing import get_context

import numpy as np
import pytest

from lsd_experiments.errors import Unavailable, UserError
from lsd_experiments.rag import RagStore, open_store


@pytest.fixture
def store(place):
    with open_store(place, create=True) as store:
        store.create_edges("mean")
        yield store


def ids(*values):
    return np.array(values, np.uint64)


def centers(count):
    return np.arange(3 * count, dtype=float).reshape(count, 3) + 0.5


def write(store, block, pairs, scores, sums=None, contacts=None, scored=None, merge_function="mean"):
    """Edges of a block; one face of affinity 0 each unless said otherwise."""
    u, v = np.array(pairs, np.uint64).reshape(-1, 2).T
    store.write_edges(merge_function, block, u, v, np.array(scores, float), np.zeros(len(u)) if sums is None else np.array(sums),
                      np.ones(len(u)) if contacts is None else np.array(contacts), None if scored is None else np.array(scored))


def rows(store, merge_function="mean", batch=1_000_000):
    """(u, v, score or None, sum, contacts) of each edge."""
    return [(u, v, None if score != score else score, total, contacts)
            for part in store.iterate_edges(merge_function, batch)
            for u, v, score, total, contacts in zip(*(values.tolist() for values in part), strict=True)]


def test_nodes_come_back_in_order_of_their_ids(store):
    store.write_nodes(11, 20, ids(12, 11), centers(2))
    store.write_nodes(1, 10, ids(3), centers(1) + 100)
    found, places = store.read_nodes()
    np.testing.assert_array_equal(found, [3, 11, 12])
    np.testing.assert_array_equal(places, [[100.5, 101.5, 102.5], [3.5, 4.5, 5.5], [0.5, 1.5, 2.5]])


@pytest.mark.parametrize("batch", [1, 2, 3, 4])
def test_node_ids_come_in_batches(store, batch):
    store.write_nodes(1, 10, ids(7, 1, 5), centers(3))
    parts = list(store.iterate_node_ids(batch))
    np.testing.assert_array_equal(np.concatenate(parts), [1, 5, 7])
    assert max(map(len, parts)) == min(batch, 3)


def test_a_block_done_again_replaces_its_nodes_only(store):
    store.write_nodes(1, 10, ids(1, 2, 10), centers(3))
    store.write_nodes(11, 20, ids(11), centers(1))
    store.write_nodes(1, 10, ids(2, 5), centers(2))
    np.testing.assert_array_equal(store.read_nodes()[0], [2, 5, 11])


def test_edges_keep_that_a_pair_never_unites(store):
    write(store, 0, [(1, 2), (2, 3)], [0.25, np.nan], sums=[100, 200])
    assert rows(store) == [(1, 2, 0.25, 100, 1), (2, 3, None, 200, 1)]
    u, v, scores = store.read_edges("mean")
    np.testing.assert_array_equal(u, [1, 2])
    np.testing.assert_array_equal(v, [2, 3])
    np.testing.assert_array_equal(scores, [0.25, np.nan])


def test_sums_add_up_over_blocks_and_the_score_is_that_of_the_one_that_scores(store):
    write(store, 0, [(1, 2), (1, 9)], [0.25, np.nan], sums=[100, 0], contacts=[2, 3])
    write(store, 1, [(1, 2), (1, 9)], [np.nan, 0.75], sums=[50, 7], contacts=[4, 5], scored=[False, False])
    assert rows(store) == [(1, 2, 0.25, 150, 6), (1, 9, None, 7, 8)]
    assert store.count_edges("mean") == 2


def test_an_edge_that_no_block_scores_has_the_mean_affinity_of_all_its_faces(store):
    write(store, 0, [(1, 2), (1, 3)], [np.nan] * 2, sums=[255, 0], contacts=[2, 1], scored=[False, False])
    write(store, 1, [(1, 2)], [np.nan], sums=[51], contacts=[1], scored=[False])
    assert rows(store) == [(1, 2, 1 - 306 / (255 * 3), 306, 3), (1, 3, None, 0, 1)]  # no affinity at all: never


def test_two_blocks_must_not_score_one_edge(store):
    write(store, 0, [(1, 2)], [0.1])
    write(store, 1, [(1, 2)], [np.nan])
    with pytest.raises(AssertionError, match="two blocks"):
        rows(store)


def test_a_block_done_again_replaces_its_rows_only(store):
    write(store, 0, [(1, 2), (2, 9)], [0.1, 0.2], sums=[1, 2])
    write(store, 1, [(2, 9), (9, 10)], [0, 0.3], sums=[3, 4], scored=[False, True])
    write(store, 0, [(1, 3), (2, 9)], [0.4, 0.5], sums=[5, 6])
    assert rows(store) == [(1, 3, 0.4, 5, 1), (2, 9, 0.5, 9, 2), (9, 10, 0.3, 4, 1)]
    write(store, 0, [], [])
    assert [row[:2] for row in rows(store)] == [(2, 9), (9, 10)]


@pytest.mark.parametrize("batch", [1, 2, 5, 1000])
def test_edges_stream_the_same_whatever_the_batch(store, batch):
    random = np.random.default_rng(1)
    expected = {}
    for block in range(7):
        pairs = np.unique(random.integers([1, 20], [20, 40], (60, 2)), axis=0)
        sums, contacts = random.integers(0, 2000, len(pairs)), random.integers(1, 9, len(pairs))
        write(store, block, pairs, np.full(len(pairs), np.nan), sums, contacts, np.zeros(len(pairs), bool))
        for pair, total, count in zip(map(tuple, pairs.tolist()), sums, contacts, strict=True):
            expected[pair] = expected.get(pair, 0) + np.array([total, count])
    assert rows(store, batch=batch) == [
        (*pair, 1 - total / (255 * count) if total else None, total, count) for pair, (total, count) in sorted(expected.items())]
    assert len(expected) == store.count_edges("mean") < 7 * 60
    assert all(len(part[0]) <= batch or batch < 7 for part in store.iterate_edges("mean", batch))


def test_numbers_survive_bit_for_bit(store):
    largest, third = 2**63 - 1, np.nextafter(1 / 3, 1)
    store.write_nodes(0, largest, ids(largest), np.full((1, 3), third))
    write(store, largest, [(1, largest), (largest - 1, largest)], [third, 5e-324], sums=[2.0**53 - 1, third], contacts=[2**40, 1])
    found, places = store.read_nodes()
    assert int(found[0]) == largest
    assert places.tolist() == [[third] * 3]
    assert rows(store) == [(1, largest, third, 2**53 - 1, 2**40), (largest - 1, largest, 5e-324, third, 1)]


def test_without_edges(store):
    assert rows(store) == []
    assert [len(values) for values in store.read_edges("mean")] == [0, 0, 0]
    assert store.count_edges("mean") == store.count_nodes() == 0
    assert len(store.read_nodes()[0]) == 0


def test_each_merge_function_has_its_own_edges(store):
    store.create_edges("hist_quant_50")
    write(store, 0, [(1, 2)], [0.1])
    store.begin_stage("edges_mean", {})
    assert len(store.read_edges("hist_quant_50")[0]) == 0
    assert store.merge_functions() == ["hist_quant_50", "mean"]
    store.create_edges("mean")
    assert store.count_edges("mean") == 1
    store.clear_edges("mean")
    assert store.merge_functions() == ["hist_quant_50"]
    assert store.stage("edges_mean") is None


def test_stages(store):
    assert store.stage("nodes") is None
    store.begin_stage("nodes", {"parameters": {"a": [1, 2]}})
    assert store.stage("nodes") == ({"parameters": {"a": [1, 2]}}, False)
    store.finish_stage("nodes")
    assert store.stage("nodes") == ({"parameters": {"a": [1, 2]}}, True)
    store.begin_stage("nodes", {"parameters": {}})
    assert store.stage("nodes") == ({"parameters": {}}, False)
    store.write_nodes(1, 2, ids(1), centers(1))
    store.clear()
    assert store.stage("nodes") is None
    assert store.merge_functions() == []
    assert len(store.read_nodes()[0]) == 0
    store.write_nodes(1, 2, ids(1), centers(1))
    assert store.count_nodes() == 1


def test_a_failed_block_leaves_what_was_there(store):
    write(store, 0, [(1, 2)], [0.1])
    with pytest.raises(Exception, match=r"(?i)unique") as caught:
        write(store, 0, [(1, 3), (1, 3)], [0.1, 0.2])  # the same edge twice
    assert not isinstance(caught.value, UserError)  # our fault
    assert [row[:2] for row in rows(store)] == [(1, 2)]
    write(store, 1, [(2, 3)], [0.1])
    assert len(rows(store)) == 2


BLOCKS, WRITERS = 40, 8


def _write_blocks(place, first):
    with RagStore(place) as store:
        for block in range(first, BLOCKS, WRITERS):
            own = np.arange(100 * block + 1, 100 * block + 101, dtype=np.uint64)
            store.write_nodes(int(own[0]), int(own[-1]), own, np.ones((100, 3)))
            u, v = np.append(own[:-1], 1), np.append(own[1:], 10**6)  # the last is an edge of all blocks
            scored = np.arange(100) < 99
            store.write_edges("mean", block, u, v, np.full(100, 0.5), np.full(100, 255), np.full(100, 2), scored)


def test_eight_processes_may_write_at_once(store, place):
    context = get_context("spawn")
    writers = [context.Process(target=_write_blocks, args=(place, first)) for first in range(WRITERS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * WRITERS
    assert store.count_nodes() == 100 * BLOCKS
    found = rows(store)
    assert len(found) == store.count_edges("mean") == 99 * BLOCKS + 1
    assert (1, 10**6, 0.5, 255 * BLOCKS, 2 * BLOCKS) in found


def test_missing_places_are_refused(place):
    with pytest.raises(UserError, match=r"graph.*: no (such database|region graph in schema graph_\d+)\. Run extract_fragments"):
        open_store(place)
    with pytest.raises(UserError):  # nor has the attempt made it
        open_store(place)
    open_store(place, create=True).close()
    open_store(place).close()


def test_a_store_for_reading_is_not_written(place):
    with open_store(place, create=True) as store:
        store.begin_stage("nodes", {})
    with open_store(place, readonly=True) as store:
        assert store.stage("nodes") == ({}, False)
        with pytest.raises(Unavailable, match="it is read-only"):
            store.finish_stage("nodes")
        assert store.stage("nodes") == ({}, False)
