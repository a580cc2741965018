"""CSV: a line for each node, under a header that names the columns in any order.

``id``, ``z``, ``y``, ``x`` and ``parent`` (empty or -1: none) are needed; ``skeleton`` is for ids that begin anew in each. A node
with further edges than that to its parent has further lines, which differ in the parent alone.
"""

import csv
from pathlib import Path

from lsd_experiments.errors import UserError, nearest
from lsd_experiments.skeletons.rows import ROOT, Nodes, lines, real, whole
from lsd_experiments.skeletons.skeleton import Skeletons

NEEDED = ("id", "z", "y", "x", "parent")
TREE = "skeleton"


def read_csv(path: Path) -> Skeletons:
    """The skeletons in ``path``, positions in the file's unit.

    :raises UserError: if a column is missing, or a value wrong.
    """
    table = csv.reader(line for _, line in lines(path))
    nodes = Nodes(path)
    try:
        header = _header(path, next(table, []))
        for values in table:
            if any(value.strip() for value in values):
                _add(nodes, f"line {table.line_num}", header, values)
    except csv.Error as error:
        raise UserError(f"{path}: line {table.line_num}: {error}. Correct it") from error
    return nodes.skeletons()


def _header(path: Path, names: list[str]) -> list[str]:
    header = [name.strip() for name in names]
    for name in NEEDED:
        if header.count(name) != 1:
            raise UserError(f"{path}: line 1: needs one column {name!r}; found {','.join(header)!r}{nearest(name, header)}. "
                            f"The columns are {','.join(NEEDED)}, and perhaps {TREE}")
    return header


def _add(nodes: Nodes, place: str, header: list[str], values: list[str]) -> None:
    path = nodes.path
    if len(values) != len(header):
        raise UserError(f"{path}: {place}: has {len(values)} values for {len(header)} columns. Correct it")
    row = {name: value.strip() for name, value in zip(header, values, strict=True)}
    node, tree = whole(path, place, "id", row["id"]), row.get(TREE)
    nodes.add(place, tree, node, tuple(real(path, place, axis, row[axis]) for axis in "zyx"))
    if row["parent"] not in ("", str(ROOT)):
        nodes.links.append((place, tree, node, whole(path, place, "parent", row["parent"])))
