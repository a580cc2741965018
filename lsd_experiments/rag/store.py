"""Read and write the region graph in SQLite.

Several processes may write at once: each block is one transaction, which replaces what the block wrote before, so that
a block can be done again after a crash. A file system that several machines share does not suit SQLite.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.errors import UserError

WAIT = 600.0  # seconds for other writers
APPLICATION_ID = 0x4C534452  # marks the file as ours: "LSDR"

Ids = NDArray[np.uint64]
Edges = tuple[Ids, Ids, NDArray[np.float64]]


class RagStore:
    """An open region graph; close it, or use it as a context manager.

    :param create: make the file if it is not there
    :raises UserError: if the file is not there, or is something else
    """

    def __init__(self, path: str | Path, create: bool = False) -> None:
        self.path = Path(path)
        if not create and not self.path.is_file():
            raise UserError(f"{self.path}: no such database. Run extract_fragments first, or correct 'db'")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._connection = sqlite3.connect(self.path, timeout=WAIT, isolation_level=None)
            self._prepare()
        except sqlite3.DatabaseError as error:
            raise UserError(f"{self.path}: {error}. Name another 'db'") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def write_nodes(self, first: int, last: int, ids: Ids, centers: NDArray[np.float64]) -> None:
        """Replace the nodes with ids from ``first`` to ``last`` by ``ids``, at ``centers`` [n, 3] (z, y, x in nm)."""
        rows = zip(ids.tolist(), *centers.T.tolist(), strict=True)
        self._transaction([("DELETE FROM nodes WHERE id BETWEEN ? AND ?", [(first, last)]),
                           ("INSERT INTO nodes VALUES (?, ?, ?, ?)", rows)])

    def read_nodes(self) -> tuple[Ids, NDArray[np.float64]]:
        """All ids, ascending, and their centers [n, 3] (z, y, x in nm)."""
        kind = [("id", np.int64), ("center", np.float64, 3)]
        rows = self._connection.execute("SELECT id, center_z, center_y, center_x FROM nodes ORDER BY id")
        nodes = np.fromiter(((row[0], row[1:]) for row in rows), kind)
        return nodes["id"].astype(np.uint64), nodes["center"]

    def count_nodes(self) -> int:
        """How many nodes there are."""
        return int(self._connection.execute("SELECT count(*) FROM nodes").fetchone()[0])

    def count_edges(self, merge_function: str) -> int:
        """How many edges there are for a merge function."""
        return int(self._connection.execute(f"SELECT count(*) FROM {_table(merge_function)}").fetchone()[0])

    def create_edges(self, merge_function: str) -> None:
        """Make the table of edges for a merge function unless it is there."""
        self._connection.execute(f"CREATE TABLE IF NOT EXISTS {_table(merge_function)} (u INTEGER NOT NULL, "
                                 "v INTEGER NOT NULL, merge_score REAL, "
                                 " PRIMARY KEY (u, v), CHECK (u < v)) WITHOUT ROWID")

    def write_edges(self, merge_function: str, lower: Ids, u: Ids, v: Ids, scores: NDArray[np.float64]) -> None:
        """Replace all edges whose lower fragment is one of ``lower``.

        :param scores: merge scores of the edges from ``u`` to ``v``, NaN for never
        """
        table = _table(merge_function)
        values = [None if np.isnan(score) else score for score in scores.tolist()]
        self._transaction([(f"DELETE FROM {table} WHERE u = ?", ((id_,) for id_ in lower.tolist())),
                           (f"INSERT INTO {table} VALUES (?, ?, ?)", zip(u.tolist(), v.tolist(), values, strict=True))])

    def read_edges(self, merge_function: str) -> Edges:
        """All edges: ``u``, ``v`` and the merge scores, NaN where the two never unite."""
        rows = self._connection.execute(f"SELECT u, v, IFNULL(merge_score, 9e999) FROM {_table(merge_function)}")
        edges = np.fromiter(rows, [("u", np.int64), ("v", np.int64), ("score", np.float64)])
        scores = np.where(np.isinf(edges["score"]), np.nan, edges["score"])
        return edges["u"].astype(np.uint64), edges["v"].astype(np.uint64), scores

    def stage(self, name: str) -> tuple[dict[str, Any], bool] | None:
        """The provenance of what stage ``name`` wrote, and whether it is finished; None if it never began."""
        row = self._connection.execute("SELECT provenance, finished FROM stages WHERE name = ?", (name,)).fetchone()
        return (json.loads(row[0]), row[1] is not None) if row else None

    def begin_stage(self, name: str, provenance: Mapping[str, Any]) -> None:
        """Note what stage ``name`` does."""
        self._transaction([("INSERT OR REPLACE INTO stages VALUES (?, ?, NULL)", [(name, json.dumps(provenance))])])

    def finish_stage(self, name: str) -> None:
        """Note that stage ``name`` is done."""
        self._transaction([("UPDATE stages SET finished = datetime('now') WHERE name = ?", [(name,)])])

    def clear(self) -> None:
        """Remove all nodes, edges and stages."""
        for table in self._edge_tables():
            self._connection.execute(f"DROP TABLE {table}")
        self._transaction([("DELETE FROM nodes", [()]), ("DELETE FROM stages", [()])])

    def clear_edges(self, merge_function: str) -> None:
        """Remove the table of edges for a merge function, and its stage."""
        self._connection.execute(f"DROP TABLE IF EXISTS {_table(merge_function)}")
        self._transaction([("DELETE FROM stages WHERE name = ?", [(_table(merge_function),)])])

    def merge_functions(self) -> list[str]:
        """Those that there are edges for."""
        return [table.removeprefix("edges_") for table in self._edge_tables()]

    def _edge_tables(self) -> list[str]:
        rows = self._connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'edges\\_%' "
                                        "ESCAPE '\\' ORDER BY name")
        return [name for name, in rows]

    def _prepare(self) -> None:
        (mark,) = self._connection.execute("PRAGMA application_id").fetchone()
        if mark == APPLICATION_ID:
            return
        if self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise UserError(f"{self.path}: a database of something else. Name another 'db'")
        self._connection.execute("PRAGMA journal_mode = WAL")  # stays with the file
        self._transaction([
            ("CREATE TABLE IF NOT EXISTS nodes (id INTEGER PRIMARY KEY, center_z REAL NOT NULL, "
             "center_y REAL NOT NULL, center_x REAL NOT NULL)", None),
            ("CREATE TABLE IF NOT EXISTS stages (name TEXT PRIMARY KEY, provenance TEXT NOT NULL, finished TEXT)",
             None),
            (f"PRAGMA application_id = {APPLICATION_ID}", None)])

    def _transaction(self, statements: Iterable[tuple[str, Iterable[tuple[Any, ...]] | None]]) -> None:
        """Execute all statements, each for all of its rows, or none of them."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            for statement, rows in statements:
                if rows is None:
                    self._connection.execute(statement)
                else:
                    self._connection.executemany(statement, rows)
            self._connection.execute("COMMIT")
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise


def _table(merge_function: str) -> str:
    """The table of edges for a merge function, as published databases name it."""
    assert merge_function.isidentifier(), f"merge function '{merge_function}' cannot name a table"
    return f"edges_{merge_function}"
