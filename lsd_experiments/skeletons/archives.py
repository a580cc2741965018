"""Archives of skeletons: pickled NetworkX graphs, in NumPy's files or alone, and plain arrays. No pickle is run.

The format is known by how a file begins, not by its name: the challenge's ``XPRESS_validation_skels.npz`` is what ``np.load(...,
allow_pickle=True)`` makes a graph of, which an archive of arrays, an array of objects and a bare pickle all can be.
"""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from lsd_experiments import npz, pickles
from lsd_experiments.errors import UserError
from lsd_experiments.skeletons.graphs import graphs_in, skeletons_of
from lsd_experiments.skeletons.skeleton import Skeletons, join

ZIP, NPY = b"PK\x03\x04", b"\x93NUMPY"
ARRAYS = ("positions", "edges", "ids")  # of an archive without pickles
LARGEST = 2**31  # bytes of an array, unpacked
SHOWN = 160  # characters of a reason


def read_archive(path: Path) -> Skeletons:
    """The skeletons in ``path``.

    :raises UserError: if it holds neither a graph nor the arrays of one, or is damaged.
    """
    try:
        content = _content(path)
    except npz.DAMAGE as error:
        reason = " ".join(str(error).split())[:SHOWN] or type(error).__name__
        raise UserError(f"{path}: cannot be read ({reason}). Fetch or make it again") from error
    if {"positions", "edges"} <= content.keys():
        return _of_arrays(path, content)
    if len(content) != 1:
        raise UserError(f"{path}: holds {npz.shown(content)}; needs one graph, or the arrays {', '.join(ARRAYS)}. Name another "
                        "file")
    ((key, value),) = content.items()
    return _join_graphs(path, key and f"{npz.shown([key])}: ", value)


def _content(path: Path) -> dict[str, Any]:
    """The arrays by name, or what is pickled under none; of an archive with others, the names alone."""
    with path.open("rb") as file:
        start, size = file.read(len(NPY)), path.stat().st_size
        file.seek(0)
        if start == NPY:
            return {"": npz.read_npy(file, size, pickles.load)}
        if not start.startswith(ZIP):
            return {"": pickles.load(file)}
        with zipfile.ZipFile(file) as archive:
            names = npz.names_in(archive, file)
            if {"positions", "edges"} <= {*names}:
                names = [name for name in ARRAYS if name in names]
            elif len(names) != 1:
                return dict.fromkeys(names)
            return {name: npz.read_member(archive, name, pickles.load, LARGEST) for name in names}


def _join_graphs(path: Path, where: str, value: Any) -> Skeletons:
    graphs = graphs_in(value)
    if not graphs:
        raise UserError(f"{path}: {where}holds no NetworkX graph, but {describe(value)}. Name another file")
    return join([skeletons_of(path, graph) for graph in graphs])


def _of_arrays(path: Path, arrays: dict[str, Any]) -> Skeletons:
    for key, kinds, columns in (("positions", "iuf", 3), ("edges", "iu", 2)):
        array = arrays[key]
        if not isinstance(array, np.ndarray) or array.ndim != 2 or array.shape[1] != columns or array.dtype.kind not in kinds:
            raise UserError(f"{path}: {key} is {describe(array)}, not [n, {columns}] numbers. Make it again")
    positions, edges = arrays["positions"], arrays["edges"]
    ids = arrays.get("ids", np.arange(len(positions)))
    if not isinstance(ids, np.ndarray) or ids.dtype.kind not in "iu" or ids.shape != positions.shape[:1]:
        raise UserError(f"{path}: ids is {describe(ids)}, not {len(positions)} whole numbers. Make it again")
    if not np.isfinite(positions).all() or (len(edges) and (edges.min() < 0 or edges.max() >= len(positions))):
        raise UserError(f"{path}: a position is not finite, or an edge leads beyond the {len(positions)} nodes. Make it again")
    is_unique = len(np.unique(ids)) == len(ids)
    return Skeletons.of(positions, edges, ids if is_unique else None)


def describe(value: Any) -> str:
    """What messages call a value."""
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} of shape {value.shape}"
    if isinstance(value, (pickles.Foreign, pickles.Global)):
        return f"a {value.module}.{value.name}"
    return f"a {type(value).__name__}"
