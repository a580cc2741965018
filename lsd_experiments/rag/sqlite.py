"""The region graph in a SQLite file.

Several processes of one machine may write at once. A file system that several machines share does not suit SQLite: its
write-ahead log is shared memory, and locks over a network are not to be trusted. PostgreSQL serves many machines.
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from lsd_experiments.errors import Unavailable, UserError
from lsd_experiments.rag.database import LAYOUT, Database, Rows, Statement
from lsd_experiments.rag.ledger import BLOCKS, CREATE_BLOCKS
from lsd_experiments.rag.stages import create_tables

WAIT = 600.0  # seconds for other writers
CHECKED = 2**28  # bytes of a file that is looked at whole before a stage: two seconds
DAMAGED = "the database is damaged. Name another 'db', or remove it and run extract_fragments again"
LOST = ("no such table", "no such column", "malformed", "Could not decode")  # what is said if SQLite's own tables were damaged
APPLICATION_ID = 0x4C534452  # marks the file as ours: "LSDR"

# What the user can mend, by SQLite's primary error codes.
REMEDIES = {
    sqlite3.SQLITE_FULL: "no space left for it. Make room there, or name another 'db'",
    sqlite3.SQLITE_READONLY: "it is read-only. Allow writing, or name another 'db'",
    sqlite3.SQLITE_PERM: "access is denied. Allow it, or name another 'db'",
    sqlite3.SQLITE_CANTOPEN: "unable to open database file. Name another 'db'",
    sqlite3.SQLITE_NOTADB: "file is not a database. Name another 'db'",
    sqlite3.SQLITE_CORRUPT: DAMAGED,
    sqlite3.SQLITE_IOERR: "its disk gives an input/output error. See whether it is full or gone, or name another 'db'",
    sqlite3.SQLITE_BUSY: f"another process has kept it locked for {WAIT:g} s. End that one first",
}


class SqliteDatabase(Database):
    """An open file.

    :param create: make the file if it is not there
    :param readonly: refuse to write; then the file and its directory need not be writable
    :raises UserError: if the file is not there, or is something else
    """

    table_options = " WITHOUT ROWID"

    def __init__(self, path: Path, create: bool, readonly: bool = False) -> None:
        self.name = str(path)
        if not create and not path.is_file():
            raise Unavailable(f"{path}: no such database. Run extract_fragments first, or correct 'db'")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._readonly = readonly and not (_may_write(path) and _may_write(path.parent))
        self._unwatched: tuple[Path, int, int] | None = None
        with self._refusals():
            self._connection = sqlite3.connect(self._uri(path), timeout=WAIT, isolation_level=None, uri=True)
            self._prepare(readonly)
            if readonly:
                self._connection.execute("PRAGMA query_only = ON")

    def transact(self, statements: Sequence[Statement]) -> None:  # noqa: D102
        with self._refusals():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                for statement in statements:
                    if isinstance(statement, Rows):
                        self._insert(statement)
                    else:
                        self._connection.execute(*statement)
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # a full disk has ended it already
                    self._connection.execute("ROLLBACK")
                raise

    def fetch(self, query: str, parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:  # noqa: D102
        with self._refusals():
            rows = self._connection.execute(query, parameters).fetchall()
        self._check_unchanged()
        return rows

    def read(self, query: str, parameters: tuple[Any, ...], kind: DTypeLike) -> NDArray[np.void]:  # noqa: D102
        with self._refusals():
            cursor = self._connection.execute(query, parameters)
            try:
                rows = np.fromiter(cursor, kind)
            except (TypeError, ValueError, OverflowError) as error:  # SQLite keeps values of any type in any column
                raise UserError(f"{self.name}: {DAMAGED}") from error
        self._check_unchanged()
        return rows

    def tables(self) -> list[str]:  # noqa: D102
        return [name for name, in self.fetch("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]

    def check(self) -> None:  # noqa: D102
        path = Path(self.name)
        if path.stat().st_size <= CHECKED and not self._is_sound():
            raise UserError(f"{self.name}: {DAMAGED}")

    def _is_sound(self) -> bool:
        """Unlike quick_check, which takes half as long, this compares indices with their tables."""
        try:
            return self._connection.execute("PRAGMA integrity_check(1)").fetchall() == [("ok",)]
        except sqlite3.Error:
            return False

    def close(self) -> None:  # noqa: D102
        self._connection.close()

    def _uri(self, path: Path) -> str:
        """How SQLite is to open ``path``.

        A write-ahead log needs files beside the database. Where they cannot be made, one that is there is read, and
        without one the database is taken as one that does not change; :meth:`_check_unchanged` sees to it.
        """
        path = path.resolve()
        if not self._readonly:
            return path.as_uri()
        log, shared = (path.with_name(f"{path.name}-{suffix}") for suffix in ("wal", "shm"))
        if log.exists() and log.stat().st_size:
            if not shared.exists():
                raise UserError(f"{self.name}: a run was killed as it wrote it, and only who may write {path.parent} can read it "
                                "now. Have status.py run by its owner, then run the same command again")
            return f"{path.as_uri()}?mode=ro"
        self._unwatched = (path, *_version(path))
        return f"{path.as_uri()}?mode=ro&immutable=1"

    def _check_unchanged(self) -> None:
        """Nobody tells a reader without a write-ahead log that the file changes."""
        if self._unwatched is not None and _version(self._unwatched[0]) != self._unwatched[1:]:
            raise Unavailable(f"{self.name}: another process wrote it while it was read. Run the same command again")

    def _insert(self, rows: Rows) -> None:
        columns = []
        for name in rows.values.dtype.names or ():
            values = rows.values[name]
            column = values.tolist()
            if values.dtype.kind == "f" and np.isnan(values).any():
                column = [None if value != value else value for value in column]
            columns.append(column)
        marks = ", ".join("?" * len(columns))
        self._connection.executemany(f"INSERT INTO {rows.table} VALUES ({marks})", zip(*columns, strict=True))

    def _prepare(self, readonly: bool) -> None:
        """Make the tables in a new file, unless only reading is allowed; look whether one that is there is ours."""
        ((mark,),) = self.fetch("PRAGMA application_id")
        if mark == APPLICATION_ID:
            ((layout,),) = self.fetch("PRAGMA user_version")
            if layout != LAYOUT:
                raise UserError(f"{self.name}: a region graph as another version of this software keeps it. Name another 'db', "
                                "or remove it and run extract_fragments again")
            if not readonly and BLOCKS not in self.tables():
                self.transact([CREATE_BLOCKS])
            return
        if self.tables():
            raise UserError(f"{self.name}: a database of something else. Name another 'db'")
        if self._readonly:
            raise UserError(f"{self.name}: no region graph in it. Run extract_fragments first, or correct 'db'")
        self._connection.execute("PRAGMA journal_mode = WAL")  # stays with the file
        self.transact([*create_tables(self.table_options), (f"PRAGMA user_version = {LAYOUT}", ()),
                       (f"PRAGMA application_id = {APPLICATION_ID}", ())])

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        """While open, errors that the user can mend become a UserError."""
        try:
            yield
        except UnicodeDecodeError as error:  # names in damaged tables
            raise Unavailable(f"{self.name}: {DAMAGED}") from error
        except sqlite3.Error as error:
            remedy = REMEDIES.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
            if remedy is None and (str(error).startswith(LOST) or not self._is_sound()):
                remedy = DAMAGED
            if remedy is None:
                raise
            raise Unavailable(f"{self.name}: {remedy}") from error


def _may_write(path: Path) -> bool:
    return os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def _version(path: Path) -> tuple[int, int]:
    """What differs once ``path`` was written."""
    status = path.stat()
    return status.st_mtime_ns, status.st_size
