"""SWC: a line ``id type x y z radius parent`` for each node; ``#`` begins a remark, in any encoding.

A root's parent is -1, or 0 where no node is 0. What follows the parent (some programs have an eighth column) is not read.
"""

from pathlib import Path

from lsd_experiments.errors import UserError
from lsd_experiments.skeletons.rows import ROOT, Nodes, lines, real, whole
from lsd_experiments.skeletons.skeleton import Skeletons

COLUMNS = "id type x y z radius parent"


def read_swc(path: Path) -> Skeletons:
    """The skeletons in ``path``, positions in the file's unit.

    :raises UserError: if a line is wrong, or there is none.
    """
    nodes, columns = Nodes(path), 0
    for number, line in lines(path):
        values = line.partition("#")[0].replace(",", " ").split()
        if not values:
            continue
        place = f"line {number}"
        columns = columns or max(len(values), len(COLUMNS.split()))
        if len(values) != columns:
            before = "" if columns == len(COLUMNS.split()) else " as the lines before"
            raise UserError(f"{path}: {place}: has {len(values)} values, not {columns}{before} ({COLUMNS}). Correct it")
        node, parent = whole(path, place, "id", values[0]), whole(path, place, "parent", values[6])
        position = tuple(real(path, place, axis, values[2 + "xyz".index(axis)]) for axis in "zyx")
        if (None, node) in nodes.index:
            raise UserError(f"{path}: {place}: node {node} is there twice. Give each node an id of its own")
        nodes.add(place, None, node, position)
        if parent != ROOT:
            nodes.links.append((place, None, node, parent))
    if not nodes.ids:
        raise UserError(f"{path}: holds no node. Name another file")
    if (None, 0) not in nodes.index:
        nodes.links = [link for link in nodes.links if link[3] != 0]
    return nodes.skeletons()
