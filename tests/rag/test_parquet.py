"""The region graph as Parquet files."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from lsd_experiments.errors import UserError
from lsd_experiments.locks import only_run
from lsd_experiments.rag import open_store
from lsd_experiments.rag.parquet import export_graph, import_graph
from tests.rag.cluster import PASSWORD
from tests.scripts import run_script

ROOT = Path(__file__).parent.parent.parent
FRAGMENTS = "[fragments]\nfragments_in_xy = true\nblock_size = [20, 20, 20]\n"
FUNCTIONS = ("mean", "contact_mean")


@pytest.fixture
def graph(tmp_path):
    """The path of a finished graph of 500 nodes, whose edges come from five blocks."""
    random = np.random.default_rng(0)
    with open_store(tmp_path / "graph.db", create=True) as store:
        store.begin_stage("nodes", {"date": "today"})
        ids = np.sort(random.choice(10**6, 500, replace=False) + 1).astype(np.uint64)
        store.write_nodes(1, 10**6, ids, random.random((500, 3)))
        store.finish_stage("nodes")
        for function in FUNCTIONS:
            store.create_edges(function)
            store.begin_stage(f"edges_{function}", {"parameters": {"merge_function": function}})
            for block in range(5):
                pairs = np.unique(random.integers([1, 50], [50, 90], (200, 2)), axis=0).astype(np.uint64)
                scores = np.where(random.random(len(pairs)) < 0.2, np.nan, random.random(len(pairs)))
                scored = np.full(len(pairs), function == "mean" and block == 0)
                store.write_edges(function, block, pairs[:, 0], pairs[:, 1], scores, random.integers(0, 999, len(pairs)),
                                  random.integers(1, 9, len(pairs)), scored)
            store.finish_stage(f"edges_{function}")
    return tmp_path / "graph.db"


def content(place):
    """All rows and stages."""
    with open_store(place) as store:
        edges = {function: [values.tolist() for values in next(store.iterate_edges(function))] for function in FUNCTIONS}
        stages = [store.stage(name) for name in ("nodes", "edges_mean", "edges_contact_mean")]
        return [values.tolist() for values in store.read_nodes()], repr(edges), stages


def tables(directory):
    return {path.name: pyarrow.parquet.read_table(path) for path in directory.iterdir()}


@pytest.mark.database
def test_there_and_back_through_both_databases(graph, url, tmp_path):
    """SQLite -> Parquet -> PostgreSQL -> Parquet -> SQLite."""
    with open_store(graph) as store:
        paths = export_graph(store, tmp_path / "first", batch=100)
    assert [path.name for path in paths] == ["nodes.parquet", "edges_contact_mean.parquet", "edges_mean.parquet"]
    with open_store(url, create=True) as store:
        assert import_graph(store, tmp_path / "first", batch=70) == ["nodes", "edges_contact_mean", "edges_mean"]
        export_graph(store, tmp_path / "second")
    assert content(url) == content(graph)
    first, second = tables(tmp_path / "first"), tables(tmp_path / "second")
    assert first.keys() == second.keys()
    for name, table in first.items():
        assert table.equals(second[name], check_metadata=True)
    with open_store(tmp_path / "again.db", create=True) as store:
        import_graph(store, tmp_path / "second")
    assert content(tmp_path / "again.db") == content(graph)
    assert "nan" in content(graph)[1]


def test_files_say_what_made_them_and_come_in_row_groups(graph, tmp_path):
    with open_store(graph) as store:
        export_graph(store, tmp_path / "out", batch=100)
        count = store.count_edges("mean")
    with pyarrow.parquet.ParquetFile(tmp_path / "out" / "edges_mean.parquet") as file:
        assert json.loads(file.schema_arrow.metadata[b"provenance"]) == {"parameters": {"merge_function": "mean"}}
        assert file.metadata.num_rows == count
        assert file.metadata.num_row_groups > count / 100
        table = file.read()
    assert 0 < table["merge_score"].null_count < count
    assert not [path for path in (tmp_path / "out").iterdir() if path.suffix != ".parquet"]


def test_other_nodes_stay_unless_overwritten(graph, place, tmp_path):
    with open_store(graph) as store:
        export_graph(store, tmp_path / "out")
    with open_store(f"{tmp_path}/other.db" if not place.startswith("postgres") else place, create=True) as other:
        other.begin_stage("nodes", {"date": "yesterday"})
        other.write_nodes(5, 5, np.array([5], np.uint64), np.zeros((1, 3)))
        other.finish_stage("nodes")
        with pytest.raises(UserError, match=r"holds nodes that are not those of .*--overwrite"):
            import_graph(other, tmp_path / "out")
        assert other.count_nodes() == 1
        assert len(import_graph(other, tmp_path / "out", overwrite=True)) == 3
        assert other.count_nodes() == 500
        assert import_graph(other, tmp_path / "out") == []  # the same are there
        other.begin_stage("edges_mean", {})
        with pytest.raises(UserError, match="holds edges_mean that are not those"):
            import_graph(other, tmp_path / "out")


KILLED = """
import os, sys
from pathlib import Path
from lsd_experiments.rag import open_store
from lsd_experiments.rag.incoming import Incoming
from lsd_experiments.rag.parquet import import_graph
whole, count = Incoming.write_edges, 0
def write_edges(*arguments):
    global count
    count += 1
    if count == 4:
        os.kill(os.getpid(), 9)
    whole(*arguments)
Incoming.write_edges = write_edges
with open_store(sys.argv[1]) as store:
    import_graph(store, Path(sys.argv[2]), overwrite=True, batch=70)
"""


def test_an_import_that_is_killed_leaves_the_graph_as_it_was(graph, place, tmp_path):
    place = place.replace("graph.db", "other.db")
    with open_store(graph) as store:
        export_graph(store, tmp_path / "out")
    with open_store(place, create=True) as store:
        store.begin_stage("nodes", {"date": "yesterday"})
        store.write_nodes(5, 5, np.array([5], np.uint64), np.zeros((1, 3)))
        store.finish_stage("nodes")
        store.create_edges("gone")
        store.begin_stage("edges_gone", {})
        before = store._database.tables()
        assert subprocess.run([sys.executable, "-c", KILLED, place, tmp_path / "out"], cwd=ROOT).returncode == -9
        assert store._database.tables() == sorted([*before, "incoming_edges_contact_mean", "incoming_nodes"])
        assert (store.count_nodes(), store.stage("nodes")) == (1, ({"date": "yesterday"}, True))
        assert store.merge_functions() == ["gone"]
        import_graph(store, tmp_path / "out", overwrite=True)
        assert store._database.tables() == sorted([*(set(before) - {"edges_gone"}), *(f"edges_{name}" for name in FUNCTIONS)])
        assert store.stage("edges_gone") is None
        import_graph(store, tmp_path / "out", overwrite=True)  # names of indexes do not get into each other's way
        store.write_edges("mean", 0, *(np.zeros(0, np.uint64) for _ in "uv"), *(np.zeros(0) for _ in range(3)))
        assert store.count_edges("mean") == 0  # all were of block 0
    with open_store(place) as store:
        import_graph(store, tmp_path / "out", overwrite=True)
    assert content(place) == content(graph)


def test_facts_take_the_place_of_those_of_the_file(graph, tmp_path):
    with open_store(graph) as store:
        export_graph(store, tmp_path / "out")
    with open_store(tmp_path / "new.db", create=True) as store:
        import_graph(store, tmp_path / "out", facts={"container": "a"})
        assert store.stage("nodes") == ({"date": "today", "container": "a"}, True)
        assert import_graph(store, tmp_path / "out", facts={"container": "a"}) == []
        with pytest.raises(UserError, match="holds nodes that are not those"):
            import_graph(store, tmp_path / "out")


def test_a_server_that_goes_away_as_all_is_done_has_done_it(graph, tmp_path, monkeypatch):
    with open_store(graph) as store:
        export_graph(store, tmp_path / "out")
    with open_store(tmp_path / "new.db", create=True) as store:
        whole = store._database.transact

        def transact(statements):
            before = [str(statement) for statement in statements if "RENAME" in str(statement)]
            if not (before and lost == "before"):
                whole(statements)
            if before:
                raise ConnectionError("gone")
        monkeypatch.setattr(store._database, "transact", transact)
        lost = "before"
        with pytest.raises(ConnectionError):
            import_graph(store, tmp_path / "out")
        assert store.stage("nodes") is None
        lost = "after"
        import_graph(store, tmp_path / "out")
    assert content(tmp_path / "new.db") == content(graph)


def test_what_is_not_finished_is_not_exported(graph, tmp_path):
    with open_store(graph) as store:
        store.begin_stage("edges_mean", {})
        with pytest.raises(UserError, match=r"graph\.db: edges_mean is not finished\. Run agglomerate first"):
            export_graph(store, tmp_path / "out")
        assert not (tmp_path / "out").exists()


def test_files_that_do_not_fit_are_named(graph, tmp_path):
    out = tmp_path / "out"
    with open_store(graph) as store:
        export_graph(store, out)
    nodes = pyarrow.parquet.read_table(out / "nodes.parquet")

    was = content(graph)

    def refused(says):
        with open_store(graph) as store, pytest.raises(UserError, match=says):
            import_graph(store, out, overwrite=True, batch=100)
        assert content(graph) == was
        with open_store(graph) as store:
            assert not [name for name in store._database.tables() if name.startswith("incoming")]
    pyarrow.parquet.write_table(nodes.rename_columns(["id", "z", "y", "x"]), out / "nodes.parquet")
    refused(r"nodes\.parquet: columns id, z, y, x: no table that export_graph\.py wrote, which has id, center_z")
    pyarrow.parquet.write_table(nodes.replace_schema_metadata(None), out / "nodes.parquet")
    refused(r"nodes\.parquet: .*'provenance' in its metadata")
    pyarrow.parquet.write_table(nodes.take(list(range(500))[::-1]), out / "nodes.parquet")
    refused(r"nodes\.parquet: the rows do not ascend by id")
    whole = (out / "edges_mean.parquet").read_bytes()
    (out / "edges_mean.parquet").write_bytes(whole[:-100])
    refused(r"edges_mean\.parquet: no Parquet file, or a part of one")
    (out / "edges_mean.parquet").write_bytes(b"".join([whole[:200], bytes(2000), whole[2200:]]))
    pyarrow.parquet.write_table(nodes, out / "nodes.parquet")
    refused(r"edges_mean\.parquet: damaged")
    for place in range(1000, 2000, 100):
        (out / "edges_mean.parquet").write_bytes(b"".join([whole[:place], bytes([whole[place] ^ 1]), whole[place + 1:]]))
        refused(r"edges_mean\.parquet: damaged")
    (out / "edges_mean.parquet").write_bytes(whole)
    edges = pyarrow.parquet.read_table(out / "edges_mean.parquet")
    pyarrow.parquet.write_table(edges.replace_schema_metadata({"provenance": '{"parameters'}), out / "edges_mean.parquet")
    refused(r"edges_mean\.parquet: no Parquet file, or a part of one")
    (out / "edges_My.parquet").write_bytes(whole)
    refused(r"edges_My\.parquet: no name of a file that export_graph\.py wrote: .* Rename it, or take it away")
    (out / "nodes.parquet").unlink()
    refused(r"nodes\.parquet: no such file")


def test_without_pyarrow_there_is_one_line(graph, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with open_store(graph) as store, pytest.raises(UserError, match=r"needs pyarrow, which is not installed: .*pip install"):
        export_graph(store, tmp_path / "out")


def run(script, *arguments):
    return run_script(ROOT / "03_predict" / f"{script}.py", *arguments, cwd=ROOT)


def test_the_commands(graph, place, tmp_path):
    (tmp_path / "a.toml").write_text(f"out_file = 'a.zarr'\ndb = '{graph}'\n{FRAGMENTS}")
    other = place.replace("graph.db", "b.db") if place.endswith("graph.db") else place
    (tmp_path / "b.toml").write_text(f"out_file = 'b.zarr'\ndb = '{other}'\n{FRAGMENTS}")
    done = run("export_graph", tmp_path / "a.toml", tmp_path / "out")
    assert done.stderr == ""
    assert done.stdout.splitlines() == [str(tmp_path / "out" / f"{name}.parquet")
                                        for name in ("nodes", "edges_contact_mean", "edges_mean")]
    done = run("import_graph", tmp_path / "b.toml", tmp_path / "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(": nodes, edges_contact_mean, edges_mean\n")
    assert PASSWORD not in done.stdout
    assert content(other)[:2] == content(graph)[:2]
    assert [finished for _, finished in content(other)[2]] == [True] * 3
    assert run("import_graph", tmp_path / "b.toml", tmp_path / "out").stdout.endswith(": all was there already\n")
    done = run("import_graph", tmp_path / "b.toml", tmp_path / "nothing")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "nodes.parquet: no such file" in done.stderr


def test_nothing_is_imported_while_another_command_works(graph, tmp_path):
    with open_store(graph) as store:
        export_graph(store, tmp_path / "out")
    (tmp_path / "b.toml").write_text(f"out_file = 'b.zarr'\ndb = 'b.db'\n{FRAGMENTS}")
    done = run("import_graph", tmp_path / "b.toml", tmp_path / "nothing")
    assert (done.returncode, list(tmp_path.glob("b.[dz]*"))) == (2, [])
    with only_run(tmp_path / "b.zarr", tmp_path / "b.zarr" / ".blockwise" / "pipeline.lock"):
        done = run("import_graph", tmp_path / "b.toml", tmp_path / "out")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "b.zarr: another command is at work on it" in done.stderr
    assert not (tmp_path / "b.db").exists()
    assert run("import_graph", tmp_path / "b.toml", tmp_path / "out").returncode == 0
