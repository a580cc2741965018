"""The region graph changes behind our back: an older copy is put back, rows are lost, bytes are damaged.

Whatever was done, a run ends with the result of one that nobody disturbed, or says in words what is wrong.
"""

import shutil
import sqlite3

import numpy as np
import pytest

from lsd_experiments.arrays import open_volume
from lsd_experiments.blockwise import engine
from lsd_experiments.errors import UserError
from lsd_experiments.pipeline.settings import load_pipeline, with_num_workers
from lsd_experiments.pipeline.stages import run_stage
from lsd_experiments.rag import open_store

STAGES = ("extract_fragments", "agglomerate", "find_segments")
EDGES = "edges_hist_quant_50"
VOXELS = 10 * 16 * 14  # of a block
TABLES = {"extract_fragments": "nodes", "agglomerate": EDGES}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, make_out_file, make_config):
    """The directory of a whole run."""
    directory = tmp_path_factory.mktemp("run")
    make_out_file(directory)
    run(make_config(directory, evaluate=None))
    return directory


@pytest.fixture
def done(undisturbed, tmp_path):
    shutil.copytree(undisturbed, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture
def path(config):
    return config(evaluate=None)


def run(path, *names):
    settings = with_num_workers(load_pipeline(path), 1)
    return [run_stage(name, settings) for name in names or STAGES]


def content(directory):
    """Everything that the stages made."""
    with open_store(directory / "out.db", readonly=True) as store:
        rows = [store.read_nodes(), list(store.iterate_edges("hist_quant_50"))]
    return rows, tables(directory)


def tables(directory):
    """The look-up tables by their files' names."""
    return {path.name: np.load(path)["fragment_segment_lut"] for path in sorted((directory / "out.zarr/luts").rglob("*.npz"))}


def check_equal(directory, undisturbed):
    (nodes, edges), found_tables = content(directory)
    (expected_nodes, expected_edges), expected_tables = content(undisturbed)
    for found, expected in zip([*nodes, *edges[0]], [*expected_nodes, *expected_edges[0]], strict=True):
        np.testing.assert_array_equal(found, expected)
    assert found_tables.keys() == expected_tables.keys()
    for name, table in found_tables.items():
        np.testing.assert_array_equal(table, expected_tables[name])


def execute(directory, *statements):
    with sqlite3.connect(directory / "out.db") as database:
        for statement in statements:
            database.execute(statement)
    database.close()


def put_back(directory, stage, blocks):
    """Make the graph what it was when so many blocks of ``stage`` were done, as a copy of then would be."""
    table = TABLES[stage]
    if stage == "agglomerate":
        execute(directory, f"DELETE FROM {EDGES} WHERE block >= {blocks}")
    else:
        execute(directory, f"DELETE FROM nodes WHERE id > {blocks * VOXELS}", f"DROP TABLE {EDGES}",
                f"DELETE FROM stages WHERE name = '{EDGES}'")
    execute(directory, f"DELETE FROM blocks WHERE stage = '{table}' AND block >= {blocks}",
            "UPDATE stages SET finished = NULL, provenance = json_remove(provenance, '$.blocks', '$.count') "
            f"WHERE name = '{table}'")


@pytest.mark.parametrize("stage", TABLES)
@pytest.mark.parametrize("blocks", [0, 2, 26])
def test_an_older_graph_is_put_back_in_mid_stage(done, path, undisturbed, stage, blocks, caplog):
    """The scheduler holds blocks for done that the graph, restored, knows nothing of."""
    put_back(done, stage, blocks)
    volume = open_volume(done / "out.zarr", "volumes/fragments", writable=True)
    if stage == "extract_fragments":
        volume.array.attrs.pop("finished")
    run(path)
    assert f"{27 - blocks} of 27 finished blocks are done again: their {TABLES[stage]} are not in" in caplog.text
    check_equal(done, undisturbed)


@pytest.mark.parametrize("stage", TABLES)
def test_an_older_graph_is_put_back_after_the_stage(done, path, undisturbed, stage):
    put_back(done, stage, 3)
    run(path)
    check_equal(done, undisturbed)


def test_the_graph_is_put_back_while_blocks_are_worked_on(done, path, undisturbed, monkeypatch, caplog):
    """When the last block is done, the first ones are not there any more: the stage goes on before it is called finished."""
    put_back(done, "agglomerate", 20)
    whole = engine._run_server

    def run_server(*arguments):
        problem = whole(*arguments)
        monkeypatch.setattr(engine, "_run_server", whole)
        put_back(done, "agglomerate", 20)
        return problem

    monkeypatch.setattr(engine, "_run_server", run_server)
    run(path)
    assert caplog.text.count("7 of 27 finished blocks are done again: their edges_hist_quant_50 are not in") == 2
    check_equal(done, undisturbed)


def change_scores(directory):
    execute(directory, f"UPDATE {EDGES} SET merge_score = 0.01 WHERE u % 7 = 0")


def swap_sums(directory):
    execute(directory, f"UPDATE {EDGES} SET affinity_sum = contacts, contacts = 1 WHERE u % 7 = 0")


def score_twice(directory):
    execute(directory, f"UPDATE {EDGES} SET scored = 1")


@pytest.mark.parametrize("damage", [change_scores, swap_sums, score_twice], ids=lambda each: each.__name__)
def test_edges_that_changed_are_made_again(done, path, undisturbed, damage):
    """They are noticed where they are used, and the blocks that wrote them are done again by the next run."""
    shutil.rmtree(done / "out.zarr/luts")
    damage(done)
    with pytest.raises(UserError, match=rf"out.db: {EDGES} are not those that agglomerate wrote: .*blocks are to be done again"):
        run(path, "find_segments")
    assert not list((done / "out.zarr/luts").rglob("seg_*[0-9].npz"))
    reports = run(path)
    assert [report.startswith("up to date") for report in reports] == [True, False, False]
    check_equal(done, undisturbed)


@pytest.mark.parametrize("statement", [
    "DELETE FROM nodes WHERE id % 5 = 0", "UPDATE nodes SET id = id + 1000000 WHERE id % 5 = 0",
    "UPDATE nodes SET center_z = 0 WHERE id % 5 = 0", "DELETE FROM blocks WHERE block = 3"])
def test_nodes_that_changed_are_refused(done, path, undisturbed, statement):
    shutil.rmtree(done / "out.zarr/luts")
    execute(done, statement)
    with pytest.raises(UserError, match=r"out.db: (nodes|edges_hist_quant_50) are not those that"):
        run(path, "find_segments")
    settings = with_num_workers(load_pipeline(path), 1)
    for name in STAGES:
        run_stage(name, settings, overwrite=name != "find_segments")
    check_equal(done, undisturbed)


def test_agglomerate_refuses_a_graph_without_all_nodes(done, path):
    with open_store(done / "out.db") as store:
        store.clear_edges("hist_quant_50")
    execute(done, "DELETE FROM nodes WHERE id % 5 = 0")
    with pytest.raises(UserError, match=r"nodes are not those that extract_fragments wrote: \d+ of \d+ rows"):
        run(path, "agglomerate")


@pytest.mark.parametrize("edges_too", [True, False])
def test_the_graph_of_a_version_that_noted_nothing_is_taken(done, path, undisturbed, edges_too):
    shutil.rmtree(done / "out.zarr/luts")
    execute(done, "DROP TABLE blocks", "UPDATE stages SET provenance = json_remove(provenance, '$.blocks')")
    if not edges_too:
        with open_store(done / "out.db") as store:
            store.clear_edges("hist_quant_50")
    assert [report.startswith("up to date") for report in run(path)] == [True, edges_too, False]
    check_equal(done, undisturbed)


@pytest.mark.parametrize(("table", "redone"), [
    ("nodes WHERE id % 5 = 0", [False, False]), (f"{EDGES} WHERE u % 5 = 0", [True, False])])
def test_a_finished_stage_that_lost_rows_is_made_anew(done, path, undisturbed, table, redone, caplog):
    execute(done, f"DELETE FROM {table}")
    assert [report.startswith("up to date") for report in run(path)][:len(redone)] == redone
    assert "rows are there" in caplog.text
    check_equal(done, undisturbed)


def test_damaged_bytes_of_the_file(done, path, undisturbed, tmp_path):
    """Bits that flipped, and bytes that are zero, all over the file: the tables of an undisturbed run, or one line."""
    shutil.rmtree(done / "out.zarr/luts")
    with sqlite3.connect(done / "out.db") as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    whole = (done / "out.db").read_bytes()
    shutil.copytree(done, tmp_path / "kept")
    random, outcomes = np.random.default_rng(14), []
    for number in range(60):
        damaged, place = bytearray(whole), int(random.integers(len(whole) - 64))
        if number % 2:
            damaged[place] ^= 1 << int(random.integers(8))
        else:
            damaged[place:place + 64] = bytes(64)
        for left in done.glob("out.db*"):
            left.unlink()
        (done / "out.db").write_bytes(damaged)
        shutil.rmtree(done / "out.zarr/luts", ignore_errors=True)
        try:
            run(path, "find_segments")
        except UserError as error:
            outcomes.append("in several lines" if "\n" in str(error) else "refused")
            continue
        expected, found = tables(undisturbed), tables(done)
        assert found.keys() == expected.keys()
        assert all(np.array_equal(table, expected[name]) for name, table in found.items()), f"byte {place}: wrong tables"
        outcomes.append("equal")
    assert {*outcomes} == {"refused", "equal"}
    assert outcomes.count("refused") > 10
