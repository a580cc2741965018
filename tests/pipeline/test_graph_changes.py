"""The region graph changes behind our back: an older copy is put back, or rows are lost or changed; in SQLite and in PostgreSQL.

Whatever was done, a run ends with the result of one that nobody disturbed, or says in words what is wrong.
"""

import shutil

import pytest

from lsd_experiments.arrays import open_volume
from lsd_experiments.errors import UserError
from lsd_experiments.pipeline import running
from lsd_experiments.pipeline.configuration import load_pipeline, with_num_workers
from lsd_experiments.pipeline.running import run_stage
from lsd_experiments.rag import open_store
from tests.pipeline.graphs import EDGES, TABLES, Graph
from tests.pipeline.here import blocks_here, run_here

pytestmark = pytest.mark.usefixtures(blocks_here.__name__)

STAGES = ("extract_fragments", "agglomerate", "find_segments")
PLACE = r"(out\.db|\?schema=graph_\d+)"  # what messages call the databases here


@pytest.fixture
def undisturbed(whole_run):
    return Graph(whole_run, str(whole_run / "out.db"))


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.database)])
def graph(request, done):
    """That of a finished run, to be changed."""
    graph = Graph(done, str(done / "out.db"))
    return graph.copy_to(request.getfixturevalue("url")) if request.param == "postgresql" else graph


@pytest.fixture
def path(config, graph):
    return config(graph.top, evaluate=None)


def run(path, *names):
    settings = with_num_workers(load_pipeline(path), 1)
    return [run_stage(name, settings) for name in names or STAGES]


@pytest.mark.parametrize("stage", TABLES)
@pytest.mark.parametrize("blocks", [0, 2, 26])
def test_an_older_graph_is_put_back_in_mid_stage(graph, path, undisturbed, stage, blocks, caplog):
    """The scheduler holds blocks for done that the graph, restored, knows nothing of."""
    graph.put_back(stage, blocks)
    volume = open_volume(graph.directory / "out.zarr", "volumes/fragments", writable=True)
    if stage == "extract_fragments":
        volume.array.attrs.pop("finished")
    run(path)
    assert f"{27 - blocks} of 27 finished blocks are done again: their {TABLES[stage]} are not in" in caplog.text
    graph.check_equal(undisturbed)


@pytest.mark.parametrize("stage", TABLES)
def test_an_older_graph_is_put_back_after_the_stage(graph, path, undisturbed, stage):
    graph.put_back(stage, 3)
    run(path)
    graph.check_equal(undisturbed)


def test_the_graph_is_put_back_while_blocks_are_worked_on(graph, path, undisturbed, monkeypatch, caplog):
    """When the last block is done, the first ones are not there any more: the stage goes on before it is called finished."""
    graph.put_back("agglomerate", 20)

    def disturbed(task, show=None):
        run_here(task)
        monkeypatch.setattr(running, "run_blockwise", run_here)
        graph.put_back("agglomerate", 20)

    monkeypatch.setattr(running, "run_blockwise", disturbed)
    run(path)
    assert caplog.text.count("7 of 27 finished blocks are done again: their edges_hist_quant_50 are not in") == 2
    graph.check_equal(undisturbed)


def change_scores(graph):
    graph.execute(f"UPDATE {EDGES} SET merge_score = 0.01 WHERE u % 7 = 0")


def swap_sums(graph):
    graph.execute(f"UPDATE {EDGES} SET affinity_sum = contacts, contacts = 1 WHERE u % 7 = 0")


def score_twice(graph):
    graph.execute(f"UPDATE {EDGES} SET scored = 1")


@pytest.mark.parametrize("damage", [change_scores, swap_sums, score_twice], ids=lambda each: each.__name__)
def test_edges_that_changed_are_made_again(graph, path, undisturbed, damage):
    """They are noticed where they are used, and the blocks that wrote them are done again by the next run."""
    shutil.rmtree(graph.directory / "out.zarr/luts")
    damage(graph)
    with pytest.raises(UserError, match=rf"{PLACE}: {EDGES} are not those that agglomerate wrote: .*blocks are to be done again"):
        run(path, "find_segments")
    assert not list((graph.directory / "out.zarr/luts").rglob("seg_*[0-9].npz"))
    reports = run(path)
    assert [report.startswith("up to date") for report in reports] == [True, False, False]
    graph.check_equal(undisturbed)


@pytest.mark.parametrize("statement", [
    "DELETE FROM nodes WHERE id % 5 = 0", "UPDATE nodes SET id = id + 1000000 WHERE id % 5 = 0",
    "UPDATE nodes SET center_z = 0 WHERE id % 5 = 0", "DELETE FROM blocks WHERE block = 3"])
def test_nodes_that_changed_are_refused(graph, path, undisturbed, statement):
    shutil.rmtree(graph.directory / "out.zarr/luts")
    graph.execute(statement)
    with pytest.raises(UserError, match=rf"{PLACE}: (nodes|{EDGES}) are not those that"):
        run(path, "find_segments")
    settings = with_num_workers(load_pipeline(path), 1)
    for name in STAGES:
        run_stage(name, settings, overwrite=name != "find_segments")
    graph.check_equal(undisturbed)


def test_agglomerate_refuses_a_graph_without_all_nodes(graph, path):
    with open_store(graph.place) as store:
        store.clear_edges("hist_quant_50")
    graph.execute("DELETE FROM nodes WHERE id % 5 = 0")
    with pytest.raises(UserError, match=r"nodes are not those that extract_fragments wrote: \d+ of \d+ rows"):
        run(path, "agglomerate")


@pytest.mark.parametrize("edges_too", [True, False])
def test_the_graph_of_a_version_that_noted_nothing_is_taken(graph, path, undisturbed, edges_too):
    shutil.rmtree(graph.directory / "out.zarr/luts")
    graph.forget_ledger()
    if not edges_too:
        with open_store(graph.place) as store:
            store.clear_edges("hist_quant_50")
    assert [report.startswith("up to date") for report in run(path)] == [True, edges_too, False]
    graph.check_equal(undisturbed)


@pytest.mark.parametrize("stage", TABLES)
def test_a_table_that_was_dropped_is_made_anew(graph, path, undisturbed, stage):
    graph.execute(f"DROP TABLE {TABLES[stage]}")
    assert [report.startswith("up to date") for report in run(path)][:2] == [stage == "agglomerate", False]
    graph.check_equal(undisturbed)


@pytest.mark.parametrize(("table", "redone"), [
    ("nodes WHERE id % 5 = 0", [False, False]), (f"{EDGES} WHERE u % 5 = 0", [True, False])])
def test_a_finished_stage_that_lost_rows_is_made_anew(graph, path, undisturbed, table, redone, caplog):
    graph.execute(f"DELETE FROM {table}")
    assert [report.startswith("up to date") for report in run(path)][:len(redone)] == redone
    assert "rows are there" in caplog.text
    graph.check_equal(undisturbed)
