"""CSV: a line for each node, under a header that names the columns in any order.

``id``, ``z``, ``y``, ``x`` and ``parent`` (empty or -1: none) are needed; ``skeleton`` is for ids that begin anew in each. A node
with further edges than that to its parent has further lines, which differ in the parent alone. Columns may be called as CATMAID
and others call them (:data:`NAMES`); commas, semicolons or tabs are between them, and perhaps blanks.
"""

import csv
from pathlib import Path

from lsd_experiments.errors import UserError, nearest
from lsd_experiments.skeletons.rows import ROOT, Nodes, lines, real, shown, whole
from lsd_experiments.skeletons.skeleton import Skeletons

NEEDED = ("id", "z", "y", "x", "parent")
TREE = "skeleton"
NAMES = {  # of others, by ours
    "id": ("treenode_id", "node_id"),
    "parent": ("parent_treenode_id", "parent_id", "parent_node_id"),
    TREE: ("skeleton_id",),
}
NONE = ("", "nan", "none", "null", "<na>")  # parents, in small letters: what programs write where there is nothing


def read_csv(path: Path) -> Skeletons:
    """The skeletons in ``path``, positions in the file's unit.

    :raises UserError: if a column is missing, or a value wrong.
    """
    texts = [line for _, line in lines(path)]
    first = texts[0] if texts else ""
    table = csv.reader(texts, delimiter=max(",;\t", key=first.count), skipinitialspace=True)
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
    """Our names of the columns; those of others as they are."""
    header = [name.strip().lower() for name in names]
    for ours, theirs in NAMES.items():
        if ours not in header:
            header = [ours if name in theirs else name for name in header]
    for name in NEEDED:
        if header.count(name) != 1:
            found = ",".join(header)
            raise UserError(f"{path}: line 1: needs one column {name!r}; found {shown(found)}{nearest(name, header)}. "
                            f"The columns are {','.join(NEEDED)}, and perhaps {TREE}")
    return header


def _add(nodes: Nodes, place: str, header: list[str], values: list[str]) -> None:
    path = nodes.path
    if len(values) != len(header):
        raise UserError(f"{path}: {place}: has {len(values)} values for {len(header)} columns. Correct it")
    row = {name: value.strip() for name, value in zip(header, values, strict=True)}
    node, tree = whole(path, place, "id", row["id"]), row.get(TREE)
    nodes.add(place, tree, node, tuple(real(path, place, axis, row[axis]) for axis in "zyx"))
    parent = ROOT if row["parent"].lower() in NONE else whole(path, place, "parent", row["parent"])
    if parent != ROOT:
        nodes.links.append((place, tree, node, parent))
