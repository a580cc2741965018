import sqlite3
from multiprocessing import get_context

import numpy as np
import pytest

from lsd_experiments.errors import UserError
from lsd_experiments.rag import RagStore


@pytest.fixture
def store(tmp_path):
    with RagStore(tmp_path / "graph.db", create=True) as store:
        store.create_edges("mean")
        yield store


def ids(*values):
    return np.array(values, np.uint64)


def centers(count):
    return np.arange(3 * count, dtype=float).reshape(count, 3) + 0.5


def test_nodes_come_back_in_order_of_their_ids(store):
    store.write_nodes(11, 20, ids(12, 11), centers(2))
    store.write_nodes(1, 10, ids(3), centers(1) + 100)
    found, places = store.read_nodes()
    np.testing.assert_array_equal(found, [3, 11, 12])
    np.testing.assert_array_equal(places, [[100.5, 101.5, 102.5], [3.5, 4.5, 5.5], [0.5, 1.5, 2.5]])


def test_a_block_done_again_replaces_its_nodes_only(store):
    store.write_nodes(1, 10, ids(1, 2, 10), centers(3))
    store.write_nodes(11, 20, ids(11), centers(1))
    store.write_nodes(1, 10, ids(2, 5), centers(2))
    np.testing.assert_array_equal(store.read_nodes()[0], [2, 5, 11])


def test_edges_keep_that_a_pair_never_unites(store):
    store.write_edges("mean", ids(1, 2), ids(1, 2), ids(2, 3), np.array([0.25, np.nan]))
    u, v, scores = store.read_edges("mean")
    np.testing.assert_array_equal(u, [1, 2])
    np.testing.assert_array_equal(v, [2, 3])
    np.testing.assert_array_equal(scores, [0.25, np.nan])


def test_a_block_done_again_replaces_the_edges_of_its_fragments_only(store):
    store.write_edges("mean", ids(1, 2), ids(1, 2), ids(2, 9), np.array([0.1, 0.2]))
    store.write_edges("mean", ids(9), ids(9), ids(10), np.array([0.3]))
    store.write_edges("mean", ids(1, 2), ids(1), ids(3), np.array([0.4]))
    u, v, scores = store.read_edges("mean")
    np.testing.assert_array_equal(np.stack([u, v], 1), [[1, 3], [9, 10]])
    np.testing.assert_array_equal(scores, [0.4, 0.3])


def test_a_failed_block_leaves_what_was_there(store):
    store.write_edges("mean", ids(1), ids(1), ids(2), np.array([0.1]))
    with pytest.raises(sqlite3.IntegrityError):  # the same edge twice
        store.write_edges("mean", ids(1), ids(1, 1), ids(3, 3), np.array([0.1, 0.2]))
    np.testing.assert_array_equal(store.read_edges("mean")[1], [2])


def test_large_ids_survive(store):
    largest = 2**63 - 1
    store.write_nodes(0, largest, ids(largest), centers(1))
    store.write_edges("mean", ids(1), ids(1), ids(largest), np.array([0.5]))
    assert int(store.read_nodes()[0][0]) == largest
    assert int(store.read_edges("mean")[1][0]) == largest


def test_each_merge_function_has_its_own_edges(store):
    store.create_edges("hist_quant_50")
    store.write_edges("mean", ids(1), ids(1), ids(2), np.array([0.1]))
    store.begin_stage("edges_mean", {})
    assert len(store.read_edges("hist_quant_50")[0]) == 0
    assert store.merge_functions() == ["hist_quant_50", "mean"]
    store.clear_edges("mean")
    assert store.merge_functions() == ["hist_quant_50"]
    assert store.stage("edges_mean") is None


def test_stages(store):
    assert store.stage("nodes") is None
    store.begin_stage("nodes", {"parameters": {"a": [1, 2]}})
    assert store.stage("nodes") == ({"parameters": {"a": [1, 2]}}, False)
    store.finish_stage("nodes")
    assert store.stage("nodes") == ({"parameters": {"a": [1, 2]}}, True)
    store.write_nodes(1, 2, ids(1), centers(1))
    store.clear()
    assert store.stage("nodes") is None
    assert store.merge_functions() == []
    assert len(store.read_nodes()[0]) == 0


def test_missing_and_foreign_files_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"none\.db: no such database"):
        RagStore(tmp_path / "none.db")
    assert not (tmp_path / "none.db").exists()
    (tmp_path / "text.db").write_text("this is not a database, but long enough to be looked at" * 10)
    with pytest.raises(UserError, match=r"text\.db: file is not a database"):
        RagStore(tmp_path / "text.db")
    with pytest.raises(UserError, match="unable to open database file"):
        RagStore(tmp_path, create=True)
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE photos (id)")
    with pytest.raises(UserError, match=r"other\.db: a database of something else"):
        RagStore(tmp_path / "other.db", create=True)


def _write_blocks(path, first):
    with RagStore(path) as store:
        for block in range(first, 40, 2):
            own = np.arange(100 * block + 1, 100 * block + 101, dtype=np.uint64)
            store.write_nodes(int(own[0]), int(own[-1]), own, np.ones((100, 3)))
            store.write_edges("mean", own, own[:-1], own[1:], np.full(99, 0.5))


def test_processes_may_write_at_once(store):
    context = get_context("spawn")
    writers = [context.Process(target=_write_blocks, args=(store.path, first)) for first in (0, 1)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert len(store.read_nodes()[0]) == 4000
    assert len(store.read_edges("mean")[0]) == 40 * 99
