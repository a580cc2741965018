"""A region graph on its way in: tables beside those that are there, whose place they take at once, or not at all.

They are in the same database and are called as theirs will be, after :data:`PREFIX`. Those of an import that was killed
stay unseen, and the next one removes them.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.rag.database import Command, Database, Rows
from lsd_experiments.rag.edges import Ids, create_edges, create_edges_index, edge_rows, edges_table
from lsd_experiments.rag.ledger import Tally, forget_blocks, note_block
from lsd_experiments.rag.nodes import NODES, create_nodes, node_rows
from lsd_experiments.rag.stages import note_stage

PREFIX = "incoming_"


class Incoming:
    """New tables in ``database``, which nobody else may write meanwhile."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._tallies: dict[str, dict[int, Tally]] = {}
        self.discard()

    def discard(self) -> None:
        """Remove what came in, now or in an import that was killed."""
        self._database.transact([(f"DROP TABLE {table}", ()) for table in self._tables()])

    def create(self, table: str) -> None:
        """Make an empty table, which will be called ``table``."""
        coming, options = PREFIX + table, self._database.table_options
        self._database.transact([create_nodes(coming, options) if table == NODES else create_edges(coming, options)])

    def write_nodes(self, ids: Ids, centers: NDArray[np.float64]) -> None:
        """Add nodes with ascending ``ids`` at ``centers`` [n, 3] (z, y, x in nm)."""
        bounds = (int(ids[0]), int(ids[-1]))  # removed first, since a server that went away may have them already
        rows = node_rows(ids, centers)
        tallies = self._tallies.setdefault(NODES, {})
        tallies[len(tallies)] = Tally.of(rows)
        self._database.transact([(f"DELETE FROM {PREFIX}{NODES} WHERE id BETWEEN ? AND ?", bounds),
                                 Rows(f"{PREFIX}{NODES}", rows)])

    def write_edges(self, merge_function: str, block: int, u: Ids, v: Ids, scores: NDArray[np.float64],
                    affinity_sums: NDArray[Any], contacts: NDArray[Any]) -> None:
        """Add edges in order of (u, v), as if ``block`` had found and scored them; see :meth:`RagStore.write_edges`."""
        table = PREFIX + edges_table(merge_function)
        bounds = (int(u[0]), int(v[0]), int(u[-1]), int(v[-1]))
        rows = edge_rows(block, u, v, scores, affinity_sums, contacts)
        self._tallies.setdefault(edges_table(merge_function), {})[block] = Tally.of(rows)
        self._database.transact([(f"DELETE FROM {table} WHERE (u, v) >= (?, ?) AND (u, v) <= (?, ?)", bounds), Rows(table, rows)])

    def take_over(self, stages: Mapping[str, Mapping[str, Any]], alone: bool) -> None:
        """Put the new tables where those of their names are, and note their ``stages`` as done, in one transaction.

        :param alone: remove all other nodes, edges and stages
        """
        tables = self._database.tables()
        old = [table for table in tables if table in stages or (alone and table.startswith("edges_"))]
        statements: list[Command] = [(f"DROP TABLE {table}", ()) for table in old]
        if alone:
            statements += [("DELETE FROM stages", ()), ("DELETE FROM blocks", ())]
        for table, made in stages.items():
            statements.append((f"ALTER TABLE {PREFIX}{table} RENAME TO {table}", ()))
            if table != NODES:
                statements.append(create_edges_index(table))
            tallies = self._tallies.get(table, {})
            statements.append(forget_blocks(table))
            for block, tally in tallies.items():
                statements += note_block(table, block, tally)
            statements += note_stage(table, {**made, "blocks": len(tallies)}, True)
        try:
            self._database.transact(statements)
        except Exception:
            if self._tables():
                raise  # otherwise it was done, and the server went away before it could say so

    def _tables(self) -> list[str]:
        return [table for table in self._database.tables() if table.startswith(PREFIX)]
