"""Write skeletons; files are there as a whole or not at all."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from lsd_experiments.errors import UserError
from lsd_experiments.skeletons.rows import ROOT
from lsd_experiments.skeletons.skeleton import Skeletons
from lsd_experiments.skeletons.swc import COLUMNS
from lsd_experiments.skeletons.tables import NEEDED
from lsd_experiments.writing import put_bytes


def write_skeletons(path: str | Path, skeletons: Skeletons) -> None:
    """Write ``skeletons`` in nm, as the suffix says; :func:`~lsd_experiments.skeletons.read_skeletons` reads them again.

    - ``.csv``: columns id, z, y, x, parent; a node with several edges to earlier ones has as many lines
    - ``.swc``: for trees; all of them in one file, parents before children
    - ``.npz``: the arrays positions, edges and ids; no pickles

    :raises UserError: for another suffix, or if a skeleton has a cycle that SWC cannot express.
    """
    path = Path(path)
    writer = WRITERS.get(path.suffix.lower())
    if writer is None:
        raise UserError(f"{path}: skeletons are written to {', '.join(WRITERS)}. Name such a file")
    put_bytes(path, writer(path, skeletons))


def _csv(path: Path, skeletons: Skeletons) -> bytes:
    parents: list[list[int]] = [[] for _ in skeletons.ids]
    for first, second in skeletons.edges.tolist():
        parents[second].append(int(skeletons.ids[first]))
    rows = [",".join(NEEDED)]
    for node, position, above in zip(skeletons.ids.tolist(), skeletons.positions.tolist(), parents, strict=True):
        rows += [",".join((str(node), *map(repr, position), str(parent))) for parent in above or [ROOT]]
    return "\n".join((*rows, "")).encode()


def _swc(path: Path, skeletons: Skeletons) -> bytes:
    rows = [f"# {COLUMNS} (nm)"]
    ids, positions = skeletons.ids.tolist(), skeletons.positions.tolist()
    if ROOT in ids:
        raise UserError(f"{path}: node {ROOT} is no parent in SWC. Write .csv or .npz")
    for node, parent in _from_roots(path, skeletons):
        z, y, x = positions[node]
        rows.append(f"{ids[node]} 0 {x!r} {y!r} {z!r} 0 {ROOT if parent is None else ids[parent]}")
    return "\n".join((*rows, "")).encode()


def _from_roots(path: Path, skeletons: Skeletons) -> Iterator[tuple[int, int | None]]:
    """Each node and its parent, which comes before it; the first node of a skeleton is its root."""
    neighbours: list[list[int]] = [[] for _ in skeletons.ids]
    for first, second in skeletons.edges.tolist():
        neighbours[first].append(second)
        neighbours[second].append(first)
    seen: set[int] = set()
    for root in range(len(neighbours)):
        waiting: list[tuple[int, int | None]] = [(root, None)] if root not in seen else []
        while waiting:
            node, parent = waiting.pop()
            if node in seen:
                raise UserError(f"{path}: the skeleton of node {skeletons.ids[root]} has a cycle, which SWC cannot express. "
                                "Write .csv or .npz")
            seen.add(node)
            yield node, parent
            waiting += [(other, node) for other in reversed(neighbours[node]) if other != parent]


def _npz(path: Path, skeletons: Skeletons) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, positions=skeletons.positions, edges=skeletons.edges, ids=skeletons.ids)
    return file.getvalue()


WRITERS: dict[str, Callable[[Path, Skeletons], bytes]] = {".csv": _csv, ".swc": _swc, ".npz": _npz}
