"""Archives of skeletons: pickled NetworkX graphs, in NumPy's files or alone, and plain arrays. No pickle is run.

The format is known by how a file begins, not by its name: the challenge's ``XPRESS_validation_skels.npz`` is what ``np.load(...,
allow_pickle=True)`` makes a graph of, which an archive of arrays, an array of objects and a bare pickle all can be.
"""

import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from lsd_experiments import pickles
from lsd_experiments.errors import UserError
from lsd_experiments.skeletons.graphs import graphs_in, skeletons_of
from lsd_experiments.skeletons.skeleton import Skeletons, join

ZIP, NPY = b"PK\x03\x04", b"\x93NUMPY"
ARRAYS = ("positions", "edges", "ids")  # of an archive without pickles
LARGEST = 2**31  # bytes of an array, unpacked


def read_archive(path: Path) -> Skeletons:
    """The skeletons in ``path``.

    :raises UserError: if it holds neither a graph nor the arrays of one, or is damaged.
    """
    with path.open("rb") as file:
        start = file.read(len(NPY))
        file.seek(0)
        try:
            if start.startswith(ZIP):
                return _read_zip(path, file)
            value = _read_npy(file) if start == NPY else pickles.load(file)
        except (ValueError, EOFError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            raise UserError(f"{path}: cannot be read ({error}). Fetch or make it again") from error
        return _join_graphs(path, "", value)


def _read_zip(path: Path, file: IO[bytes]) -> Skeletons:
    with zipfile.ZipFile(file) as archive:
        members = {name.removesuffix(".npy"): archive.getinfo(name) for name in archive.namelist()}
        arrays = {}
        for key, member in members.items():
            if member.file_size > LARGEST:
                raise ValueError(f"{key!r} unpacks to {member.file_size} bytes, more than {LARGEST}")
            with archive.open(member) as unpacked:
                arrays[key] = _read_npy(unpacked)
    if {"positions", "edges"} <= set(arrays):
        return _of_arrays(path, arrays)
    if len(arrays) != 1:
        raise UserError(f"{path}: holds {', '.join(sorted(arrays)) or 'nothing'}; needs one graph, or the arrays "
                        f"{', '.join(ARRAYS)}. Name another file")
    ((key, value),) = arrays.items()
    return _join_graphs(path, f"{key}: ", value)


def _read_npy(file: IO[bytes]) -> Any:
    """An array; what is pickled in one of objects is read as data."""
    version = npy.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"NumPy's format {version} is not known")
    shape, is_fortran, dtype = (npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0)(file)
    if dtype.hasobject:
        return pickles.load(file)
    content = file.read()
    expected = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if len(content) < expected:
        raise ValueError(f"{len(content)} bytes of {expected}")
    return np.ndarray(shape, dtype, content, order="F" if is_fortran else "C")


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
