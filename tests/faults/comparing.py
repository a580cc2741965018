"""Whether two runs gave the same: every file of their containers and scores, every row of their region graphs.

Left out are the records and logs of the blockwise engine (``.blockwise``), and what tells when and by which software something
was made, also in the head of gzip's files.
"""

import gzip
import json
import re
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from tests.rag.cluster import execute

DATE = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?([+-]\d\d:\d\d|Z)?")
LEFT_OUT_KEYS = {"provenance", "finished", "date", "commit", "versions"}  # of attributes, and columns of tables
MARK = "region_graph"  # the table by which PostgreSQL's schema is known for ours; SQLite's file has a number for that
GZIP = b"\x1f\x8b"
LEFT_OUT = (".blockwise", ".container_id", ".db-wal", ".db-shm", ".lock", ".log")
Rows = Counter[tuple[Any, ...]]


def compare_files(reference: Path, other: Path) -> list[str]:
    """How the files below two directories differ: one line each, none if they are the same."""
    names, others = _files(reference), _files(other)
    missing = [f"{name}: missing" for name in sorted(names - others)]
    extra = [f"{name}: not in the reference" for name in sorted(others - names)]
    unlike = [f"{name}: differs" for name in sorted(names & others) if _content(reference / name) != _content(other / name)]
    return missing + extra + unlike


def compare_graphs(reference: dict[str, Rows], other: dict[str, Rows]) -> list[str]:
    """How two region graphs, see :func:`read_graph`, differ: one line per table and kind."""
    lines = [f"table {name}: not in both" for name in sorted(reference.keys() ^ other.keys())]
    for name in sorted(reference.keys() & other.keys()):
        for what, rows in (("missing", reference[name] - other[name]), ("not in the reference", other[name] - reference[name])):
            if rows:
                lines.append(f"table {name}: {rows.total()} rows {what}, such as {next(iter(rows))}")
    return lines


def read_graph(place: str) -> dict[str, Rows]:
    """All tables of the database at ``place``, a SQLite file or a PostgreSQL URL, without columns of dates."""
    return _read_postgresql(place) if "://" in place else _read_sqlite(place)


def _read_sqlite(path: str) -> dict[str, Rows]:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        (state,) = connection.execute("PRAGMA integrity_check").fetchone()
        assert state == "ok", f"{path} is damaged: {state}"
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
        tables = {}
        for (name,) in names.fetchall():
            columns = [row[1] for row in connection.execute(f'PRAGMA table_info("{name}")') if row[1] not in LEFT_OUT_KEYS]
            tables[name] = Counter(connection.execute(f"SELECT {_list(columns)} FROM {_list([name])}").fetchall())
        return tables
    finally:
        connection.close()


def _read_postgresql(url: str) -> dict[str, Rows]:
    server, schema = url.split("?schema=")
    tables: dict[str, list[str]] = {}
    for table, column in execute(server, "SELECT table_name, column_name FROM information_schema.columns "
                                         f"WHERE table_schema = '{schema}' AND table_name <> '{MARK}' "
                                         "ORDER BY table_name, ordinal_position"):
        tables.setdefault(table, []).extend([] if column in LEFT_OUT_KEYS else [column])
    return {table: Counter(execute(server, f'SELECT {_list(columns)} FROM "{schema}"."{table}"'))
            for table, columns in tables.items()}


def _list(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _files(directory: Path) -> set[str]:
    found = (path.relative_to(directory) for path in directory.rglob("*") if path.is_file())
    return {str(path) for path in found if not any(part.endswith(LEFT_OUT) for part in path.parts) and path.suffix not in
            (".db", ".toml")}


def _content(path: Path) -> Any:
    """What counts in a file: its bytes, of gzip those within; the arrays in archives; JSON without dates."""
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            return {name: (arrays[name].dtype.str, arrays[name].shape, arrays[name].tobytes()) for name in arrays.files}
    if path.suffix == ".json" or path.name in (".zattrs", ".zarray", ".zgroup"):
        return _undated(json.loads(path.read_text()))
    content = path.read_bytes()
    return gzip.decompress(content) if content.startswith(GZIP) else content


def _undated(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: True if key in LEFT_OUT_KEYS else _undated(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_undated(part) for part in value]
    return DATE.sub("a date", value) if isinstance(value, str) else value
