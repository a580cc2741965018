"""Graphs of NetworkX, as :mod:`lsd_experiments.pickles` finds them: what their attributes are called, and what is in them.

NetworkX 2 and 3 keep nodes in ``_node`` and neighbours in ``_adj``, NetworkX 1 in ``node`` and ``adj``. Both are dicts: of each
node's attributes, and of each node's neighbours.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from lsd_experiments.errors import UserError
from lsd_experiments.pickles import Foreign
from lsd_experiments.skeletons.skeleton import Skeletons

POSITION = "position"  # x, y, z in nm
LARGEST = 2**63


def graphs_in(value: Any, depth: int = 3, seen: set[int] | None = None) -> list[Foreign]:
    """The graphs that ``value`` is or holds, an array of objects, a list, tuple or dict; each one once."""
    seen = set() if seen is None else seen
    if id(value) in seen:
        return []
    seen.add(id(value))
    if isinstance(value, Foreign) and value.module.split(".")[0] == "networkx" and isinstance(value.state, dict):
        return [value]
    if isinstance(value, np.ndarray) and value.dtype.hasobject:
        value = value.reshape(-1).tolist()
    parts = list(value.values()) if isinstance(value, dict) else value
    if not isinstance(parts, (list, tuple)) or depth == 0:
        return []
    return [graph for part in parts for graph in graphs_in(part, depth - 1, seen)]


def skeletons_of(path: Path, graph: Foreign) -> Skeletons:
    """The nodes of ``graph`` with their positions, and its edges, whatever their direction.

    :raises UserError: if the graph has no nodes or neighbours where they are looked for, or a node no position.
    """
    nodes, neighbours = _attribute(path, graph, "_node", "node"), _attribute(path, graph, "_adj", "adj")
    index = {node: number for number, node in enumerate(nodes)}
    positions = [_position(path, node, attributes) for node, attributes in nodes.items()]
    edges = [(index[node], index[other]) for node, other in _links(path, neighbours, index)]
    is_number = all(isinstance(node, (int, np.integer)) and -LARGEST <= node < LARGEST for node in index)
    return Skeletons.of(np.array(positions, np.float64), edges, [int(node) for node in index] if is_number else None)


def _attribute(path: Path, graph: Foreign, *names: str) -> dict[Any, Any]:
    for name in names:
        if isinstance(graph.state.get(name), dict):
            found: dict[Any, Any] = graph.state[name]
            return found
    raise UserError(f"{path}: its graph has no attribute {' or '.join(names)}, but {_names(graph.state)}. "
                    "Save it with NetworkX 1, 2 or 3, and a part of a graph as a copy of its own")


def _links(path: Path, neighbours: dict[Any, Any], index: dict[Any, int]) -> Iterator[tuple[Any, Any]]:
    for node, others in neighbours.items():
        if not isinstance(others, dict):
            raise UserError(f"{path}: the neighbours of node {shown(node)} are a {type(others).__name__}. Fetch or make it again")
        for other in others:
            if node not in index or other not in index:
                raise UserError(f"{path}: an edge leads from node {shown(node)} to {shown(other)}, of which one is not there. "
                                "Fetch or make it again")
            yield node, other


def _position(path: Path, node: Any, attributes: Any) -> tuple[float, float, float]:
    """(z, y, x)."""
    if not isinstance(attributes, dict) or POSITION not in attributes:
        found = _names(attributes) if isinstance(attributes, dict) else type(attributes).__name__
        raise UserError(f"{path}: node {shown(node)} has no attribute '{POSITION}' (x, y, z in nm), but {found}. Add it")
    try:
        x, y, z = (float(value) for value in attributes[POSITION])
    except (TypeError, ValueError, OverflowError):
        raise UserError(f"{path}: node {shown(node)}: its {POSITION} is {shown(attributes[POSITION])}, not x, y, z in nm. "
                        "Correct it") from None
    if not np.isfinite((z, y, x)).all():
        raise UserError(f"{path}: node {shown(node)}: its {POSITION} {(x, y, z)} is not finite. Correct it")
    return z, y, x


def shown(value: Any) -> str:
    """A short text of a number, of a text, or of some of them; of what else a pickle may hold, its kind alone."""
    parts = value if isinstance(value, (tuple, list)) and len(value) <= 5 else [value]
    if all(isinstance(part, (str, int, float, np.number)) and _is_short(part) for part in parts):
        return repr(value)
    return f"a {type(value).__name__}"


def _is_short(part: Any) -> bool:
    return len(part) < 60 if isinstance(part, str) else not isinstance(part, int) or abs(part) < LARGEST * 2


def _names(attributes: dict[Any, Any]) -> list[str]:
    return sorted(shown(name).strip("'") for name in islice(attributes, 12))
