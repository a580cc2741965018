"""Read and write the region graph.

Several processes may write at once: each block is one transaction, which replaces what the block wrote before, so that
a block can be done again after a crash.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.errors import UserError
from lsd_experiments.rag.address import is_url
from lsd_experiments.rag.database import Database, Rows
from lsd_experiments.rag.edges import (
    PART,
    Edges,
    Ids,
    create_edges,
    create_edges_index,
    drop_edges_index,
    edge_rows,
    edges_table,
    first_of_pairs,
    follow,
    sum_parts,
)
from lsd_experiments.rag.incoming import PREFIX, Incoming
from lsd_experiments.rag.ledger import BLOCKS, LEDGER, Tally, forget_blocks, note_block
from lsd_experiments.rag.nodes import NODE, NODES, node_rows
from lsd_experiments.rag.stages import create_tables, note_stage, read_provenance

BATCH = 1_000_000  # rows in memory at a time
LEDGER_FACT = "blocks"  # what the provenance of a finished stage calls the number of its blocks in the ledger


class GraphChangedError(UserError):
    """The rows of a stage are not those that its blocks wrote.

    :ivar stage: its name
    :ivar what: the message without its advice, for those who have better one
    """

    def __init__(self, stage: str, what: str) -> None:
        super().__init__(f"{what}. Run {_maker(stage)} with --overwrite")
        self.stage, self.what = stage, what


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

    def write_nodes(self, first: int, last: int, ids: Ids, centers: NDArray[np.float64], block: int | None = None) -> None:
        """Replace the nodes with ids from ``first`` to ``last`` by ``ids``, at ``centers`` [n, 3] (z, y, x in nm).

        :param block: whose nodes these are; None: nobody looks afterwards whether they are there
        """
        rows = node_rows(ids, centers)
        self._database.transact([("DELETE FROM nodes WHERE id BETWEEN ? AND ?", (int(first), int(last))), Rows(NODES, rows),
                                 *([] if block is None else note_block(NODES, block, Tally.of(rows)))])

    def iterate_nodes(self, batch: int = BATCH) -> Iterator[tuple[Ids, NDArray[np.float64]]]:
        """The ids, ascending, and their centers [n, 3] (z, y, x in nm), so many at a time."""
        for nodes in self._iterate_nodes(NODE, batch):
            yield _ids_and_centers(nodes)

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
        self._database.transact([(f"DELETE FROM {table} WHERE block = ?", (int(block),)), Rows(table, rows),
                                 *note_block(table, block, Tally.of(rows))])

    def iterate_edges(self, merge_function: str, batch: int = BATCH) -> Iterator[Edges]:
        """The edges in order of (u, v): u, v, merge scores, affinity sums and contacts, added up over blocks.

        Each pair comes once. Scores are NaN for never, sums in units of 1/255. Memory is bounded by ``batch``.

        :param batch: rows of the table to read at a time, of which there may be several for an edge
        """
        for parts in self._iterate_parts(merge_function, batch):
            yield sum_parts(parts)

    def _iterate_parts(self, merge_function: str, batch: int) -> Iterator[NDArray[np.void]]:
        """The rows in order of (u, v), all of a pair in one batch."""
        query = (f"SELECT {', '.join(PART.names or ())} FROM {edges_table(merge_function)} WHERE (u, v) > (?, ?) "
                 "ORDER BY u, v, block LIMIT ?")
        last, limit = (-1, -1), batch
        while True:
            parts = self._database.read(query, (*last, limit), PART)
            complete = len(parts) < limit
            if not complete:  # the last pair may go on
                parts = parts[:first_of_pairs(parts)[-1]]
            if len(parts):
                if not follow(last, parts):  # pages of the file have changed places
                    raise self._changed(edges_table(merge_function), "they do not come in order")
                last, limit = (int(parts["u"][-1]), int(parts["v"][-1])), batch
                yield parts
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
        self._database.transact([(f"DROP TABLE IF EXISTS {table}", ()), ("DELETE FROM stages WHERE name = ?", (table,)),
                                 forget_blocks(table)])

    def merge_functions(self) -> list[str]:
        """Those that there are edges for."""
        return [table.removeprefix("edges_") for table in self._database.tables() if table.startswith("edges_")]

    def stage(self, name: str) -> tuple[dict[str, Any], bool] | None:
        """The provenance of what stage ``name`` wrote, and whether it is finished; None if it never began."""
        stage = self._stage(name)
        if stage is not None:
            stage[0].pop(LEDGER_FACT, None)
        return stage

    def _stage(self, name: str) -> tuple[dict[str, Any], bool] | None:
        """The same, with what the ledger adds."""
        rows = self._database.fetch("SELECT provenance, finished FROM stages WHERE name = ?", (name,))
        return (read_provenance(rows[0][0], self.name, name), rows[0][1] is not None) if rows else None

    def begin_stage(self, name: str, provenance: Mapping[str, Any]) -> None:
        """Note what stage ``name`` does."""
        self._database.transact(note_stage(name, provenance, False))

    def finish_stage(self, name: str, **facts: Any) -> None:
        """Note that stage ``name`` is done, and ``facts`` (JSON values) with it: counts take long in large graphs.

        :raises UserError: if it never began here: another graph has taken the place of the one that it began in
        """
        stage = self.stage(name)
        if stage is None:
            raise UserError(f"{self.name}: {name} vanished while they were made: another region graph was put in their place. "
                            "Run the same command again")
        blocks = len(self._ledger(name))
        self._database.transact(note_stage(name, {**stage[0], **facts, **({LEDGER_FACT: blocks} if blocks else {})}, True))

    def missing_blocks(self, name: str, blocks: NDArray[np.int64]) -> list[int]:
        """Those of the numbers ``blocks`` of blocks of stage ``name`` that have not written into this graph."""
        return [int(block) for block in np.setdiff1d(blocks, self._ledger(name)["block"])]

    def check(self) -> None:
        """Have the database look at itself, where that is cheap.

        :raises UserError: if it is damaged
        """
        self._database.check()

    def lost_rows(self, name: str) -> str:
        """In words, how many rows of a finished stage ``name`` are there of those that its blocks wrote; empty if as many.

        Nothing is known of stages that a version before finished. This is a quick look; see :meth:`check_rows`.
        """
        stage, ledger = self._stage(name), self._ledger(name)
        if stage is None or (LEDGER_FACT not in stage[0] and not len(ledger)):
            return ""
        written, found = int(ledger["written"].sum()), self._count_rows(name)
        if found != written and found and name != NODES:  # the count is that of the index, which may be damaged alone
            found = int(self._database.fetch(f"SELECT count(*), sum(contacts) FROM {name}")[0][0])
        return "" if found == written else f"{found} of {written} rows are there"

    def _count_rows(self, name: str) -> int:
        """How many rows the table of stage ``name`` has, if it is there."""
        return int(self._database.fetch(f"SELECT count(*) FROM {name}")[0][0]) if name in self._database.tables() else 0

    def check_rows(self, name: str) -> None:
        """Read all rows of stage ``name``.

        :raises GraphChangedError: if they are not those that its blocks wrote
        """
        for _ in self.checked_nodes() if name == NODES else self.checked_edges(name.removeprefix("edges_")):
            pass

    def check_count(self, name: str) -> None:
        """:raises UserError: if there are not as many rows as the blocks of stage ``name`` wrote"""
        lost = self.lost_rows(name)
        if lost:
            raise self._changed(name, lost)

    def checked_nodes(self, batch: int = BATCH) -> Iterator[tuple[Ids, NDArray[np.float64]]]:
        """As :meth:`iterate_nodes`; at the end, all nodes are compared with what the blocks wrote.

        :raises UserError: if they differ
        """
        tally = Tally()
        for nodes in self._iterate_nodes(NODE, batch):
            tally.add(nodes)
            if any(np.isnan(nodes[f"center_{axis}"]).any() for axis in "zyx"):
                raise self._changed(NODES, "some hold other values")
            yield _ids_and_centers(nodes)
        self._compare(NODES, tally)

    def checked_edges(self, merge_function: str, batch: int = BATCH) -> Iterator[Edges]:
        """As :meth:`iterate_edges`; at the end, all rows are compared with what the blocks wrote.

        :raises UserError: if they differ; then the blocks that they differ in are noted as not done
        """
        tally = Tally()
        for parts in self._iterate_parts(merge_function, batch):
            tally.add(parts)
            if np.any(np.add.reduceat(parts["scored"], first_of_pairs(parts)) > 1) or np.isnan(parts["affinity_sum"]).any():
                raise self._changed(edges_table(merge_function), "some hold other values")  # that nothing could be made of
            yield sum_parts(parts)
        self._compare(edges_table(merge_function), tally)

    def doubtful_blocks(self, merge_function: str) -> list[int]:
        """The blocks whose edges are not those that they wrote; the index that finds them is made anew before."""
        table, found = edges_table(merge_function), []
        self._database.transact([drop_edges_index(table), create_edges_index(table)])
        query = f"SELECT {', '.join(PART.names or ())} FROM {table} WHERE block = ?"
        for block, written, checksum in self._ledger(table).tolist():
            tally = Tally.of(self._database.read(query, (block,), PART))
            if (tally.rows, tally.stored) != (written, checksum):
                found.append(block)
        return found

    def reopen_stage(self, name: str, blocks: Sequence[int]) -> None:
        """Note that stage ``name`` is not finished, and that ``blocks`` are not done."""
        stage = self.stage(name)
        assert stage is not None, f"{self.name} has no {name}"
        self._database.transact([*note_stage(name, stage[0], False),
                                 *(("DELETE FROM blocks WHERE stage = ? AND block = ?", (name, block)) for block in blocks)])

    def _ledger(self, name: str) -> NDArray[np.void]:
        if BLOCKS not in self._database.tables():
            return np.zeros(0, LEDGER)
        return self._database.read("SELECT block, written, checksum FROM blocks WHERE stage = ? ORDER BY block", (name,), LEDGER)

    def _compare(self, name: str, found: Tally) -> None:
        """:raises UserError: if the rows of a finished stage are not those that its blocks wrote"""
        stage, ledger = self._stage(name), self._ledger(name)
        if stage is None or (LEDGER_FACT not in stage[0] and not len(ledger)):
            return  # by a version that noted nothing
        expected = Tally.of_ledger(ledger)
        if len(ledger) != stage[0].get(LEDGER_FACT, len(ledger)):
            raise self._changed(name, f"{len(ledger)} of {stage[0][LEDGER_FACT]} blocks are noted")
        if found != expected:
            raise self._changed(name, f"{found.rows} of {expected.rows} rows are there" if found.rows != expected.rows
                                else "some hold other values")

    def _changed(self, name: str, what: str) -> "GraphChangedError":
        return GraphChangedError(name, f"{self.name}: {name} are not those that {_maker(name)} wrote: {what}. The graph was "
                                       "damaged, changed, or an older copy of it put back")

    def clear(self) -> None:
        """Remove all nodes, edges and stages, and what an import that was killed has left."""
        ours = (NODES, "stages", BLOCKS)
        tables = [name for name in self._database.tables() if name in ours or name.startswith(("edges_", PREFIX))]
        self._database.transact([*((f"DROP TABLE {table}", ()) for table in tables),
                                 *create_tables(self._database.table_options)])

    def receive(self) -> Incoming:
        """A graph that comes in beside this one, to take its place."""
        return Incoming(self._database)

    def _iterate_nodes(self, kind: np.dtype[np.void], batch: int) -> Iterator[NDArray[np.void]]:
        query = f"SELECT {', '.join(kind.names or ())} FROM nodes WHERE id > ? ORDER BY id LIMIT ?"
        last = -1
        while len(nodes := self._database.read(query, (last, batch), kind)):
            before, last = last, int(nodes["id"][-1])
            if last <= before or np.any(np.diff(nodes["id"]) <= 0):
                raise self._changed(NODES, "they do not come in order")
            yield nodes


def _maker(stage: str) -> str:
    """The command that makes the rows of ``stage``."""
    return "extract_fragments" if stage == NODES else "agglomerate"


def _ids_and_centers(nodes: NDArray[np.void]) -> tuple[Ids, NDArray[np.float64]]:
    return nodes["id"].astype(np.uint64), np.stack([nodes[f"center_{axis}"] for axis in "zyx"], axis=1)


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
