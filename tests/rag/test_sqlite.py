"""What only a SQLite file can meet."""

import os
import sqlite3
import subprocess

import numpy as np
import pytest

from lsd_experiments.errors import UserError
from lsd_experiments.rag import open_store


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


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a small disk")
def test_a_full_disk_leaves_the_last_whole_block(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1M", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        with open_store(disk / "graph.db", create=True) as store:
            fill(store, 1000)
            with pytest.raises(UserError, match=r"graph\.db: no space left"):
                fill(store, 100_000)
            assert store.count_nodes() == 1000
            fill(store, 1200)  # there is room for this
        with open_store(disk / "graph.db") as store:
            assert store.count_nodes() == 1200
    finally:
        subprocess.run(["umount", disk], check=True)
