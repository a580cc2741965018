"""What only a SQLite file can meet."""

import os
import shutil
import sqlite3
import tempfile
from contextlib import contextmanager
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
