"""The region graph of a finished run, in SQLite or copied into PostgreSQL, for tests that change it behind our back."""

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lsd_experiments.rag import open_store
from lsd_experiments.rag.database import Rows
from lsd_experiments.rag.edges import ROW
from lsd_experiments.rag.ledger import BLOCKS
from lsd_experiments.rag.nodes import NODE
from tests.rag import cluster

EDGES = "edges_hist_quant_50"
TABLES = {"extract_fragments": "nodes", "agglomerate": EDGES}
KINDS = {"nodes": NODE, EDGES: ROW}
VOXELS = 10 * 16 * 14  # of a block


@dataclass
class Graph:
    """That of the run in ``directory``, kept at ``place``: a path, or PostgreSQL's URL with a schema."""

    directory: Path
    place: str

    @property
    def top(self) -> str:
        """The line of the configuration that names it."""
        return f'db = "{self.place}"'

    def execute(self, *statements: str) -> None:
        """SQL that both databases know, as another program would."""
        url, _, schema = self.place.partition("?schema=")
        if schema:
            cluster.execute(url, f"SET search_path TO {schema}; {'; '.join(statements)}")
            return
        with closing(sqlite3.connect(self.place)) as database:
            database.executescript("; ".join(statements))

    def forget_facts(self, table: str, *facts: str) -> None:
        """Remove what is noted of a stage besides its provenance."""
        with open_store(self.place) as store:
            ((text,),) = store._database.fetch("SELECT provenance FROM stages WHERE name = ?", (table,))
            made = {key: value for key, value in json.loads(text).items() if key not in facts}
            store._database.transact([("UPDATE stages SET provenance = ? WHERE name = ?", (json.dumps(made), table))])

    def forget_ledger(self) -> None:
        """Make the graph one of the version that noted nothing of blocks."""
        for table in TABLES.values():
            self.forget_facts(table, "blocks")
        self.execute("DROP TABLE blocks")

    def put_back(self, stage: str, blocks: int) -> None:
        """Make the graph what it was when so many blocks of ``stage`` were done, as a copy of then would be."""
        table = TABLES[stage]
        if stage == "agglomerate":
            self.execute(f"DELETE FROM {EDGES} WHERE block >= {blocks}")
        else:
            self.execute(f"DELETE FROM nodes WHERE id > {blocks * VOXELS}", f"DROP TABLE {EDGES}",
                         f"DELETE FROM stages WHERE name = '{EDGES}'")
        self.execute(f"DELETE FROM blocks WHERE stage = '{table}' AND block >= {blocks}",
                     f"UPDATE stages SET finished = NULL WHERE name = '{table}'")
        self.forget_facts(table, "blocks", "count")

    def copy_to(self, url: str) -> "Graph":
        """The same graph in PostgreSQL."""
        with open_store(self.place) as store, open_store(url, create=True) as other:
            other.create_edges("hist_quant_50")
            for table, kind in KINDS.items():
                columns = ", ".join(kind.names or ())
                rows = store._database.read(f"SELECT {columns} FROM {table}", (), kind)
                other._database.transact([Rows(table, rows)])
            for table, count in (("stages", 3), (BLOCKS, 4)):
                insert = f"INSERT INTO {table} VALUES ({', '.join('?' * count)})"
                rows_of_text = store._database.fetch(f"SELECT * FROM {table}")
                other._database.transact([(insert, row) for row in rows_of_text])
        return Graph(self.directory, url)

    def content(self) -> list[dict[Any, Any]]:
        """All nodes and edges, and the look-up tables."""
        with open_store(self.place, readonly=True) as store:
            rows = dict(enumerate([*store.read_nodes(), *next(store.iterate_edges("hist_quant_50"))]))
        return [rows, read_tables(self.directory)]

    def check_equal(self, other: "Graph") -> None:
        """Whether both runs made the same."""
        for found, expected in zip(self.content(), other.content(), strict=True):
            assert found.keys() == expected.keys()
            for name, values in found.items():
                np.testing.assert_array_equal(values, expected[name])


def read_tables(directory: Path) -> dict[str, Any]:
    """The look-up tables by their files' names."""
    return {path.name: np.load(path)["fragment_segment_lut"] for path in sorted((directory / "out.zarr/luts").rglob("*.npz"))}
