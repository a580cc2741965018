"""The nodes of the region graph: a table with a row per fragment, (id, center_z, center_y, center_x), centres in nm."""

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.rag.database import Command

NODES = "nodes"  # the table, and the stage that makes it

NODE = np.dtype([("id", np.int64), ("center_z", np.float64), ("center_y", np.float64), ("center_x", np.float64)])


def create_nodes(table: str, table_options: str) -> Command:
    """What makes a table of nodes unless it is there."""
    return (f"CREATE TABLE IF NOT EXISTS {table} (id BIGINT PRIMARY KEY, center_z DOUBLE PRECISION NOT NULL, "
            f"center_y DOUBLE PRECISION NOT NULL, center_x DOUBLE PRECISION NOT NULL){table_options}", ())


def node_rows(ids: NDArray[np.uint64], centers: NDArray[np.float64]) -> NDArray[np.void]:
    """Rows of kind :data:`NODE` for ``ids`` [n] at ``centers`` [n, 3] (z, y, x in nm)."""
    rows = np.empty(len(ids), NODE)
    rows["id"] = ids
    rows["center_z"], rows["center_y"], rows["center_x"] = centers.T
    return rows
