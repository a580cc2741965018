"""The edges of the region graph, as blocks know them and as a whole.

A table of edges has one row per block and pair: (block, u, v) with

- ``affinity_sum`` and ``contacts``: over those faces between the two fragments that are the block's, how many there are,
  and the sum of their affinities in units of 1/255, as uint8 affinities are stored. Each face is one block's, so that
  sums over blocks are those of the volume; those of uint8 affinities are whole numbers and exact;
- ``scored``: 1 if this block gives the edge its merge score, which at most one does, otherwise 0;
- ``merge_score``: if ``scored``, the score, or NULL if the two never unite; otherwise NULL, which says nothing.

An edge that no block scores has the score 1 - (mean affinity of all faces); without any affinity the two never unite.

The primary key is (u, v, block), so that edges come in order without sorting; an index finds the rows of a block.
"""

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.rag.database import Command

Ids = NDArray[np.uint64]
Edges = tuple[Ids, Ids, NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]

FULL_AFFINITY = 255  # what an affinity of 1 adds to affinity_sum

ROW = np.dtype([("block", np.int64), ("u", np.int64), ("v", np.int64), ("merge_score", np.float64),
                ("affinity_sum", np.float64), ("contacts", np.int64), ("scored", np.int16)])
PART = np.dtype([(name, ROW[name]) for name in ("u", "v", "merge_score", "affinity_sum", "contacts", "scored")])


def names_table(merge_function: str) -> bool:
    """Whether a table can be called after ``merge_function``."""
    return re.fullmatch("[a-z_][a-z0-9_]{0,39}", merge_function) is not None  # PostgreSQL folds capitals, and cuts off at 63


def edges_table(merge_function: str) -> str:
    """The table of edges for a merge function, as published databases name it."""
    assert names_table(merge_function), f"merge function '{merge_function}' cannot name a table"
    return f"edges_{merge_function}"


def create_edges(table: str, table_options: str) -> Command:
    """What makes a table of edges, without its index, unless it is there."""
    return (f"CREATE TABLE IF NOT EXISTS {table} (block BIGINT NOT NULL, u BIGINT NOT NULL, v BIGINT NOT NULL, "
            "merge_score DOUBLE PRECISION, affinity_sum DOUBLE PRECISION NOT NULL, contacts BIGINT NOT NULL, "
            f"scored SMALLINT NOT NULL, PRIMARY KEY (u, v, block), CHECK (u < v)){table_options}", ())


def create_edges_index(table: str) -> Command:
    """What makes the index that finds the rows of a block, unless it is there."""
    return (f"CREATE INDEX IF NOT EXISTS blocks_of_{table} ON {table} (block)", ())


def drop_edges_index(table: str) -> Command:
    """What removes that index."""
    return (f"DROP INDEX IF EXISTS blocks_of_{table}", ())


def edge_rows(block: int, u: Ids, v: Ids, scores: NDArray[np.float64], affinity_sums: NDArray[Any], contacts: NDArray[Any],
              scored: NDArray[np.bool_] | None = None) -> NDArray[np.void]:
    """Rows of kind :data:`ROW`; ``scored`` [n]: whether the block is the one that scores the edge (default: all)."""
    rows = np.empty(len(u), ROW)
    rows["block"], rows["u"], rows["v"] = block, u, v
    rows["affinity_sum"], rows["contacts"] = affinity_sums, contacts
    rows["scored"] = True if scored is None else scored
    rows["merge_score"] = np.where(rows["scored"], scores, np.nan)
    return rows


def sum_parts(parts: NDArray[np.void]) -> Edges:
    """The edges that ``parts`` (of kind :data:`PART`, ordered by u, v and block) make up: u, v, scores, sums, contacts.

    :return: the scores with NaN for never, the sums in units of 1/255
    """
    starts = first_of_pairs(parts)
    if len(starts) == 0:
        return (np.zeros(0, np.uint64), np.zeros(0, np.uint64), np.zeros(0), np.zeros(0), np.zeros(0, np.int64))
    scorers = np.add.reduceat(parts["scored"], starts)
    assert scorers.max() <= 1, "two blocks gave one edge a merge score"
    scores = np.fmin.reduceat(parts["merge_score"], starts)  # the one that is not NaN, if any
    sums, contacts = np.add.reduceat(parts["affinity_sum"], starts), np.add.reduceat(parts["contacts"], starts)
    unscored = (scorers == 0) & (sums > 0)
    scores[unscored] = 1 - sums[unscored] / (FULL_AFFINITY * contacts[unscored])
    return parts["u"][starts].astype(np.uint64), parts["v"][starts].astype(np.uint64), scores, sums, contacts


def follow(last: tuple[int, int], parts: NDArray[np.void]) -> bool:
    """Whether the pairs of ``parts`` ascend, and come after ``last``."""
    u, v = parts["u"], parts["v"]
    ascend = (u[1:] > u[:-1]) | ((u[1:] == u[:-1]) & (v[1:] >= v[:-1]))
    return (int(u[0]), int(v[0])) > last and bool(ascend.all())


def first_of_pairs(parts: NDArray[np.void]) -> NDArray[np.intp]:
    """Where in ``parts``, ordered by pair, each pair begins."""
    if len(parts) == 0:
        return np.zeros(0, np.intp)
    differs = (np.diff(parts["u"]) != 0) | (np.diff(parts["v"]) != 0)
    return np.concatenate([[0], np.flatnonzero(differs) + 1])
