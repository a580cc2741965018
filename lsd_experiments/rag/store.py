"""Read and write the region graph.

Several processes may write at once: each block is one transaction, which replaces what the block wrote before, so that
a block can be done again after a crash.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.rag.address import is_url
from lsd_experiments.rag.database import Database, Rows
from lsd_experiments.rag.edges import (
    PART,
    Edges,
    Ids,
    create_edges,
    create_edges_index,
    edge_rows,
    edges_table,
    first_of_pairs,
    sum_parts,
)
from lsd_experiments.rag.incoming import PREFIX, Incoming
from lsd_experiments.rag.nodes import NODE, node_rows
from lsd_experiments.rag.stages import create_tables, note_stage

BATCH = 1_000_000  # rows in memory at a time


class RagStore:
    """An open region graph; close it, or use it as a context manager.

    :param place: the path of a SQLite file, or ``postgresql://user@host:port/database?schema=NAME`` (default: lsd)
    :param create: make the database, that is the file or the schema, if it is not there
    :param readonly: refuse to write; then reading is all that must be allowed: of the file and its directory, or of the schema
    :param patient: wait for a server that has not answered this process yet, as is done for one that has
    :param retry: seconds to wait for a server (default: LSD_DATABASE_RETRY in the environment, or 120)
    :ivar name: what messages call the database; without a password
    :raises UserError: if the database is not there, or is something else
    """

    def __init__(self, place: str | Path, create: bool = False, *, readonly: bool = False, patient: bool = False,
                 retry: float | None = None) -> None:
        assert not (create and readonly), "what is made is written"
        self._database = _open_database(place, create, readonly, patient, retry)
        self.name = self._database.name

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    def write_nodes(self, first: int, last: int, ids: Ids, centers: NDArray[np.float64]) -> None:
        """Replace the nodes with ids from ``first`` to ``last`` by ``ids``, at ``centers`` [n, 3] (z, y, x in nm)."""
        self._database.transact([("DELETE FROM nodes WHERE id BETWEEN ? AND ?", (int(first), int(last))),
                                 Rows("nodes", node_rows(ids, centers))])

    def iterate_nodes(self, batch: int = BATCH) -> Iterator[tuple[Ids, NDArray[np.float64]]]:
        """The ids, ascending, and their centers [n, 3] (z, y, x in nm), so many at a time."""
        for nodes in self._iterate_nodes(NODE, batch):
            yield nodes["id"].astype(np.uint64), np.stack([nodes[f"center_{axis}"] for axis in "zyx"], axis=1)

    def iterate_node_ids(self, batch: int = BATCH) -> Iterator[Ids]:
        """The ids, ascending, so many at a time."""
        for nodes in self._iterate_nodes(np.dtype([("id", np.int64)]), batch):
            yield nodes["id"].astype(np.uint64)

    def read_nodes(self) -> tuple[Ids, NDArray[np.float64]]:
        """All ids, ascending, and their centers [n, 3] (z, y, x in nm)."""
        parts = [(np.zeros(0, np.uint64), np.zeros((0, 3))), *self.iterate_nodes()]
        return np.concatenate([ids for ids, _ in parts]), np.concatenate([centers for _, centers in parts])

    def count_nodes(self) -> int:
        """How many nodes there are."""
        return int(self._database.fetch("SELECT count(*) FROM nodes")[0][0])

    def create_edges(self, merge_function: str) -> None:
        """Make the table of edges for a merge function unless it is there."""
        table = edges_table(merge_function)
        self._database.transact([create_edges(table, self._database.table_options), create_edges_index(table)])

    def write_edges(self, merge_function: str, block: int, u: Ids, v: Ids, scores: NDArray[np.float64],
                    affinity_sums: NDArray[Any], contacts: NDArray[Any], scored: NDArray[np.bool_] | None = None) -> None:
        """Replace all that block number ``block`` knows of edges; see :mod:`lsd_experiments.rag.edges`.

        :param u: [n] the lower ids, and ``v`` the higher ones; each pair once
        :param scores: [n] merge scores, NaN for never
        :param affinity_sums: [n] in units of 1/255, of the block's own faces
        :param contacts: [n] how many faces these are
        :param scored: [n] whether this block is the one that scores the edge; where not, the score does not count
            (default: all)
        """
        rows = edge_rows(block, u, v, scores, affinity_sums, contacts, scored)
        table = edges_table(merge_function)
        self._database.transact([(f"DELETE FROM {table} WHERE block = ?", (int(block),)), Rows(table, rows)])

    def iterate_edges(self, merge_function: str, batch: int = BATCH) -> Iterator[Edges]:
        """The edges in order of (u, v): u, v, merge scores, affinity sums and contacts, added up over blocks.

        Each pair comes once. Scores are NaN for never, sums in units of 1/255. Memory is bounded by ``batch``.

        :param batch: rows of the table to read at a time, of which there may be several for an edge
        """
        query = (f"SELECT {', '.join(PART.names or ())} FROM {edges_table(merge_function)} WHERE (u, v) > (?, ?) "
                 "ORDER BY u, v, block LIMIT ?")
        last, limit = (-1, -1), batch
        while True:
            parts = self._database.read(query, (*last, limit), PART)
            complete = len(parts) < limit
            if not complete:  # the last pair may go on
                parts = parts[:first_of_pairs(parts)[-1]]
            if len(parts):
                yield sum_parts(parts)
                last, limit = (int(parts["u"][-1]), int(parts["v"][-1])), batch
            elif not complete:
                limit *= 2
            if complete:
                return

    def read_edges(self, merge_function: str) -> tuple[Ids, Ids, NDArray[np.float64]]:
        """All edges in order: ``u``, ``v`` and the merge scores, NaN where the two never unite."""
        none = sum_parts(np.zeros(0, PART))
        u, v, scores = zip(*(edges[:3] for edges in (none, *self.iterate_edges(merge_function))), strict=True)
        return np.concatenate(u), np.concatenate(v), np.concatenate(scores)

    def count_edges(self, merge_function: str) -> int:
        """How many edges there are for a merge function; each pair counts once."""
        query = f"SELECT count(*) FROM (SELECT DISTINCT u, v FROM {edges_table(merge_function)}) AS pairs"
        return int(self._database.fetch(query)[0][0])

    def clear_edges(self, merge_function: str) -> None:
        """Remove the table of edges for a merge function, and its stage."""
        table = edges_table(merge_function)
        self._database.transact([(f"DROP TABLE IF EXISTS {table}", ()), ("DELETE FROM stages WHERE name = ?", (table,))])

    def merge_functions(self) -> list[str]:
        """Those that there are edges for."""
        return [table.removeprefix("edges_") for table in self._database.tables() if table.startswith("edges_")]

    def stage(self, name: str) -> tuple[dict[str, Any], bool] | None:
        """The provenance of what stage ``name`` wrote, and whether it is finished; None if it never began."""
        rows = self._database.fetch("SELECT provenance, finished FROM stages WHERE name = ?", (name,))
        return (json.loads(rows[0][0]), rows[0][1] is not None) if rows else None

    def begin_stage(self, name: str, provenance: Mapping[str, Any]) -> None:
        """Note what stage ``name`` does."""
        self._database.transact(note_stage(name, provenance, False))

    def finish_stage(self, name: str, **facts: Any) -> None:
        """Note that stage ``name`` is done, and ``facts`` (JSON values) with it: counts take long in large graphs."""
        stage = self.stage(name)
        assert stage is not None, f"stage {name} of {self.name} never began"
        self._database.transact(note_stage(name, {**stage[0], **facts}, True))

    def clear(self) -> None:
        """Remove all nodes, edges and stages, and what an import that was killed has left."""
        tables = [name for name in self._database.tables() if name in ("nodes", "stages") or name.startswith(("edges_", PREFIX))]
        self._database.transact([*((f"DROP TABLE {table}", ()) for table in tables),
                                 *create_tables(self._database.table_options)])

    def receive(self) -> Incoming:
        """A graph that comes in beside this one, to take its place."""
        return Incoming(self._database)

    def _iterate_nodes(self, kind: np.dtype[np.void], batch: int) -> Iterator[NDArray[np.void]]:
        query = f"SELECT {', '.join(kind.names or ())} FROM nodes WHERE id > ? ORDER BY id LIMIT ?"
        last = -1
        while len(nodes := self._database.read(query, (last, batch), kind)):
            yield nodes
            last = int(nodes["id"][-1])


def open_store(place: str | Path, create: bool = False, *, readonly: bool = False, patient: bool = False) -> RagStore:
    """Open the region graph at ``place``, see :class:`RagStore`."""
    return RagStore(place, create, readonly=readonly, patient=patient)


def database_exists(place: str | Path) -> bool:
    """Whether there is something, a region graph or not, at ``place``: a file, or tables in PostgreSQL's schema.

    :raises UserError: if a server cannot be reached
    """
    if not is_url(place):
        return Path(place).is_file()
    from lsd_experiments.rag.postgres import schema_is_used

    return schema_is_used(str(place))


def _open_database(place: str | Path, create: bool, readonly: bool, patient: bool, retry: float | None) -> Database:
    if is_url(place):
        from lsd_experiments.rag.postgres import PostgresDatabase

        return PostgresDatabase(str(place), create, readonly, patient, retry)
    from lsd_experiments.rag.sqlite import SqliteDatabase

    return SqliteDatabase(Path(place), create, readonly)
