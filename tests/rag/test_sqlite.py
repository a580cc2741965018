"""What only a SQLite file can meet."""

import os
import shutil
import sqlite3
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest

from lsd_experiments.errors import Unavailable, UserError
from lsd_experiments.rag import open_store
from tests.disks import small_disk


def fill(store, count):
    own = np.arange(1, count + 1, dtype=np.uint64)
    store.write_nodes(1, count, own, np.random.default_rng(0).random((count, 3)))


def test_foreign_files_are_refused(tmp_path):
    assert not (tmp_path / "none.db").exists()
    (tmp_path / "text.db").write_text("this is not a database, but long enough to be looked at" * 10)
    with pytest.raises(UserError, match=r"text\.db: file is not a database"):
        open_store(tmp_path / "text.db")
    with pytest.raises(UserError, match="unable to open database file"):
        open_store(tmp_path, create=True)
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE photos (id)")
    with pytest.raises(UserError, match=r"other\.db: a database of something else"):
        open_store(tmp_path / "other.db", create=True)


def test_another_layout_is_refused(tmp_path):
    path = tmp_path / "graph.db"
    open_store(path, create=True).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 1")
    with pytest.raises(UserError, match=r"graph\.db: a region graph as another version of this software keeps it"):
        open_store(path)


def test_a_file_that_is_read_only_says_so(tmp_path):
    path = tmp_path / "graph.db"
    with open_store(path, create=True) as store:
        store._database._connection.execute("PRAGMA query_only = ON")  # as root may write what is read-only
        with pytest.raises(UserError, match=r"graph\.db: it is read-only"):
            fill(store, 1)


@contextmanager
def locked_directory(*suffixes):
    """The path of a graph with 5 nodes, beside files with ``suffixes``, where nothing may be written, not even by root."""
    directory = Path(tempfile.mkdtemp())  # not tmp_path, which others cannot enter
    place = directory / "graph.db"
    try:
        with open_store(place, create=True) as store:
            fill(store, 3)
            if suffixes:
                fill(store, 5)  # is in the log only
                for suffix in ("", *suffixes):
                    shutil.copyfile(f"{place}{suffix}", directory / f"killed.db{suffix}")
                place = directory / "killed.db"
        for path in (*directory.iterdir(), directory):
            path.chmod(0o555 if path.is_dir() else 0o444)
        with as_nobody():
            yield place
    finally:
        directory.chmod(0o755)
        shutil.rmtree(directory)


@contextmanager
def as_nobody():
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_a_graph_is_read_where_nothing_may_be_written():
    with locked_directory() as place:
        with open_store(place, readonly=True) as store:
            assert store.count_nodes() == 3
            assert len(store.read_nodes()[0]) == 3
            with pytest.raises(Unavailable, match=r"graph\.db: it is read-only"):
                fill(store, 1)
        with pytest.raises(Unavailable, match="it is read-only"):
            open_store(place).count_nodes()


def test_what_a_run_is_writing_is_read_where_nothing_may_be_written():
    with locked_directory("-wal", "-shm") as place, open_store(place, readonly=True) as store:
        assert store.count_nodes() == 5
    says = r"killed\.db: a run was killed as it wrote it, and only who may write \S+ can read it now"
    with locked_directory("-wal") as place, pytest.raises(UserError, match=says):
        open_store(place, readonly=True)


def test_a_graph_that_changes_unseen_is_not_read_on():
    with locked_directory() as place, open_store(place, readonly=True) as store:
        assert store.count_nodes() == 3
        if os.getuid() == 0:
            os.seteuid(0)
        place.parent.chmod(0o755)
        place.chmod(0o644)
        with open_store(place) as writer:
            fill(writer, 4)
        with pytest.raises(Unavailable, match="another process wrote it while it was read"):
            store.count_nodes()


def test_reading_leaves_nothing_behind_and_makes_nothing(tmp_path):
    with pytest.raises(UserError, match="no such database"):
        open_store(tmp_path / "none" / "graph.db", readonly=True)
    assert list(tmp_path.iterdir()) == []
    with open_store(tmp_path / "graph.db", create=True) as store:
        fill(store, 2)
    with open_store(tmp_path / "graph.db", readonly=True) as store:
        assert store.count_nodes() == 2
    assert [path.name for path in tmp_path.iterdir()] == ["graph.db"]


def test_a_full_disk_leaves_the_last_whole_block(tmp_path):
    with small_disk(tmp_path / "disk", "1m") as disk:
        with open_store(disk / "graph.db", create=True) as store:
            fill(store, 1000)
            with pytest.raises(Unavailable, match=r"graph\.db: no space left"):
                fill(store, 100_000)
            assert store.count_nodes() == 1000
            fill(store, 1200)  # there is room for this
        with open_store(disk / "graph.db") as store:
            assert store.count_nodes() == 1200


INDEX = "blocks_of_edges_mean"


@pytest.fixture
def lame(tmp_path):
    """A graph of three blocks, of whose second the index knows nothing."""
    with open_store(tmp_path / "graph.db", create=True) as store:
        store.create_edges("mean")
        store.begin_stage("edges_mean", {"date": "today"})
        for block in range(3):
            write_block(store, block)
        store.finish_stage("edges_mean")
    with closing(sqlite3.connect(tmp_path / "graph.db")) as database:
        about = database.execute("SELECT * FROM sqlite_master WHERE name = ?", (INDEX,)).fetchone()
        database.executescript("CREATE TEMP TABLE kept AS SELECT * FROM edges_mean WHERE block = 1; "
                               "DELETE FROM edges_mean WHERE block = 1; PRAGMA writable_schema = ON; "
                               f"DELETE FROM sqlite_master WHERE name = '{INDEX}'; PRAGMA writable_schema = RESET; "
                               "INSERT INTO edges_mean SELECT * FROM kept; PRAGMA writable_schema = ON")
        database.execute("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", about)
        database.commit()
    with closing(sqlite3.connect(tmp_path / "graph.db")) as database:
        assert database.execute("PRAGMA quick_check").fetchall() == [("ok",)]  # it does not look at indices
    return tmp_path / "graph.db"


def write_block(store, block):
    u = np.arange(10 * block + 1, 10 * block + 6, dtype=np.uint64)
    store.write_edges("mean", block, u, u + np.uint64(2), u / 100, 7 * u, u)


def test_a_damaged_index_is_noticed(lame):
    with open_store(lame) as store, pytest.raises(UserError, match=r"graph\.db: the database is damaged"):
        store.check()
    with open_store(lame) as store, pytest.raises(Unavailable, match=r"graph\.db: the database is damaged"):
        write_block(store, 1)  # it cannot find what the block wrote before
    with open_store(lame) as store:
        write_block(store, 2)  # negative control


def test_a_damaged_index_loses_no_rows_and_is_made_anew_on_doubt(lame):
    with open_store(lame) as store:
        ((by_index,),) = store._database.fetch("SELECT count(*) FROM edges_mean")
        assert by_index == 10
        assert store.lost_rows("edges_mean") == ""
        store.check_rows("edges_mean")
        assert store.doubtful_blocks("mean") == []
        store.check()
        write_block(store, 1)
        store.check_rows("edges_mean")
        store._database.transact([("DELETE FROM edges_mean WHERE u = 13", ())])
        assert store.lost_rows("edges_mean") == "14 of 15 rows are there"
        assert store.doubtful_blocks("mean") == [1]


@pytest.mark.parametrize("change", [
    "UPDATE stages SET provenance = CAST(x'ff' AS TEXT)", "UPDATE edges_mean SET u = 'x'",
    "UPDATE edges_mean SET contacts = 1e30"])
def test_values_of_other_kinds_are_damage(lame, change):
    with closing(sqlite3.connect(lame)) as database:
        database.execute(f"DROP INDEX {INDEX}")
        database.execute("PRAGMA ignore_check_constraints = ON")
        database.execute(change + (" WHERE u = 13" if "edges" in change else ""))
        database.commit()
    with open_store(lame) as store, pytest.raises(UserError, match=r"graph\.db: (the database|what it says of \w+) is damaged"):
        store.check_rows("edges_mean")
