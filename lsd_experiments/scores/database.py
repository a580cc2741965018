"""The table of scores as a SQLite file.

Processes may write at the same time: each adds what it has in one transaction, and waits for the others.
"""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from lsd_experiments.errors import UserError
from lsd_experiments.scores.entries import Entry

APPLICATION_ID = 0x4C534453  # marks the file as ours: "LSDS"
LAYOUT = 1
WAIT = 60.0  # seconds for other writers

CREATE = """CREATE TABLE scores (
    network TEXT NOT NULL, checkpoint INTEGER NOT NULL, merge_function TEXT NOT NULL, threshold REAL NOT NULL,
    truth TEXT NOT NULL, made TEXT NOT NULL, scores TEXT NOT NULL,
    PRIMARY KEY (network, checkpoint, merge_function, threshold, truth)) WITHOUT ROWID"""
TRUTHS = "CREATE TABLE IF NOT EXISTS truths (name TEXT PRIMARY KEY, content TEXT NOT NULL) WITHOUT ROWID"
UPSERT = "INSERT OR REPLACE INTO scores VALUES (?, ?, ?, ?, ?, ?, ?)"
SELECT = """SELECT network, checkpoint, merge_function, threshold, truth, made, scores FROM scores
    ORDER BY network, checkpoint, merge_function, threshold, truth"""


class ScoresDatabase:
    """The file at ``path``; it is opened for each call and closed again, and made by the first :meth:`add`."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def add(self, entries: Sequence[Entry]) -> None:
        """Write ``entries``, each in place of one of the same network, checkpoint, merge function, threshold and truth.

        A truth of the name of another one, but with other content, gets that content's fingerprint into its name.

        :raises UserError: if the file is something else, or cannot be written
        """
        with self._open("rwc") as connection, _transaction(connection):
            if not self._is_ours(connection):
                connection.execute(CREATE)
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {LAYOUT}")
            connection.execute(TRUTHS)
            connection.executemany(UPSERT, [
                (e.network, e.checkpoint, e.merge_function, e.threshold, _name_of(connection, e), e.made,
                 json.dumps(dict(e.scores))) for e in entries])

    def entries(self) -> list[Entry]:
        """All of them, by network, checkpoint, merge function and threshold.

        :raises UserError: if there is no such file, or it is something else
        """
        if not self.path.exists():
            raise UserError(f"{self.path}: no such file. Add scores to it first")
        with self._open("ro") as connection:
            rows = connection.execute(SELECT).fetchall() if self._is_ours(connection) else []
        return [Entry(row[0], row[1], row[2], row[3], row[4], row[5], json.loads(row[6])) for row in rows]

    def holds(self, made: str) -> bool:
        """Whether it has scores whose provenance has the key ``made``.

        :raises UserError: if the file is something else
        """
        if not self.path.exists():
            return False
        with self._open("ro") as connection:
            query = "SELECT count(*) FROM scores WHERE made = ?"
            return self._is_ours(connection) and connection.execute(query, (made,)).fetchone()[0] > 0

    def check(self) -> None:
        """:raises UserError: if the file is there and something else."""
        self.holds("")

    @contextmanager
    def _open(self, mode: str) -> Iterator[sqlite3.Connection]:
        if self.path.is_dir():
            raise UserError(f"{self.path}: is a directory. Name a file for the scores")
        if mode == "rwc":
            self.path.parent.mkdir(parents=True, exist_ok=True)
        uri = f"{self.path.resolve().as_uri()}?mode={mode}"
        try:
            with closing(sqlite3.connect(uri, timeout=WAIT, isolation_level=None, uri=True)) as connection:
                yield connection
        except (sqlite3.ProgrammingError, sqlite3.IntegrityError):
            raise
        except sqlite3.DatabaseError as error:
            raise UserError(f"{self.path}: {error}. Name another file for the scores, or mend this one") from error

    def _is_ours(self, connection: sqlite3.Connection) -> bool:
        """Whether it has the table; False if it is empty.

        :raises UserError: if it is a database of something else
        """
        ((mark,),) = connection.execute("PRAGMA application_id")
        ((layout,),) = connection.execute("PRAGMA user_version")
        if (mark, layout) == (APPLICATION_ID, LAYOUT):
            return True
        if mark == APPLICATION_ID:
            raise UserError(f"{self.path}: a table of scores as another version of this software keeps it. Name another file")
        if mark or connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise UserError(f"{self.path}: a database of something else. Name another file for the scores")
        return False


def _name_of(connection: sqlite3.Connection, entry: Entry) -> str:
    """The name of the entry's truth: its own, which the first of that name keeps."""
    if not entry.content:
        return entry.truth
    connection.execute("INSERT OR IGNORE INTO truths VALUES (?, ?)", (entry.truth, entry.content))
    ((content,),) = connection.execute("SELECT content FROM truths WHERE name = ?", (entry.truth,))
    return entry.truth if content == entry.content else f"{entry.truth}, {entry.content}"


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """One that waits for other writers before it reads, so that two do not make the table both."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk has ended it already
            connection.execute("ROLLBACK")
        raise
