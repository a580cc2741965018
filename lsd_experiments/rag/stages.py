"""What made the tables of the region graph, and when each was finished: the table ``stages``."""

import datetime
import json
from collections.abc import Mapping
from typing import Any

from lsd_experiments.errors import UserError
from lsd_experiments.rag.database import Command
from lsd_experiments.rag.ledger import CREATE_BLOCKS
from lsd_experiments.rag.nodes import NODES, create_nodes

CREATE_STAGES: Command = ("CREATE TABLE IF NOT EXISTS stages (name TEXT PRIMARY KEY, provenance TEXT NOT NULL, finished TEXT)",
                            ())


def create_tables(table_options: str) -> list[Command]:
    """What makes the tables that every region graph has."""
    return [create_nodes(NODES, table_options), CREATE_STAGES, CREATE_BLOCKS]


def note_stage(name: str, provenance: Mapping[str, Any], finished: bool) -> list[Command]:
    """What notes that stage ``name`` has begun, or is done, in place of what is said of it."""
    when = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds") if finished else None
    return [("DELETE FROM stages WHERE name = ?", (name,)),
            ("INSERT INTO stages VALUES (?, ?, ?)", (name, json.dumps(provenance), when))]


def read_provenance(text: str, name: str, stage: str) -> dict[str, Any]:
    """What the table says made ``stage``.

    :raises UserError: if it is not what was written there
    """
    try:
        made = json.loads(text)
    except (ValueError, TypeError):
        made = None
    if not isinstance(made, dict):
        raise UserError(f"{name}: what it says of {stage} is damaged. Name another 'db', or remove it and run extract_fragments "
                        "again")
    return made
