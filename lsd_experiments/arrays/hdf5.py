"""HDF5: attributes ``resolution`` (or ``voxel_size``) and ``offset`` in nm, z y x, at each dataset.

The file is opened for each read and closed again: a volume can so be handed to other processes, and a file that is
still being written by another program is not held.
"""

import contextlib
import json
from collections.abc import Hashable, Iterator
from typing import Any

import numpy as np

from lsd_experiments.arrays.axes import clean, spatial
from lsd_experiments.arrays.hdf5_chunks import read
from lsd_experiments.arrays.metadata import Place, world
from lsd_experiments.errors import UserError

LISTS = ("resolution", "voxel_size", "offset", "units")  # with a number for each axis
LINKS = 16  # followed on the way to a dataset, at most
PROVENANCE = "provenance"  # stored as JSON


class Hdf5Array:
    """One dataset; slices of it are read from disk."""

    def __init__(self, path: str, dataset: str) -> None:
        self.path, self.dataset = path, dataset
        with _node(path, dataset) as found:
            self.shape, self.dtype, self.chunks = found.shape, found.dtype, found.chunks

    def __getitem__(self, index: Any) -> Any:
        with _open(self.path) as file:
            return read(_find(file, self.dataset.split("/"), f"{self.path}:{self.dataset}"), index)


class Hdf5:
    """The HDF5 file ``container``."""

    def __init__(self, container: str) -> None:
        self.container = container

    def array(self, path: str) -> Hdf5Array | None:
        """The dataset at ``path``, or None if there is none."""
        import h5py

        with _node(self.container, path) as found:
            is_numeric = path and isinstance(found, h5py.Dataset) and found.dtype.kind in "uifb"
        return Hdf5Array(self.container, path) if is_numeric else None

    def attrs(self, path: str) -> dict[str, Any]:
        """The attributes at ``path``, as plain values."""
        with _node(self.container, path) as node:
            found = {} if node is None else {key: _plain(value) for key, value in node.attrs.items()}
        if isinstance(found.get(PROVENANCE), str):  # HDF5 has no tables
            with contextlib.suppress(ValueError):
                found[PROVENANCE] = json.loads(found[PROVENANCE])
        return found

    def children(self, path: str) -> list[str]:
        """The names in the group at ``path``, without those that are links to other paths."""
        import h5py

        with _node(self.container, path) as node:
            if not isinstance(node, h5py.Group):
                return []
            return sorted(name for name in node if isinstance(node.get(name, getlink=True), h5py.HardLink))

    def identity(self, path: str) -> Hashable:
        """The object's address in the file: one that has several names (hard links) has one."""
        import h5py

        try:
            with _node(self.container, path) as node:
                return path if node is None else int(h5py.h5o.get_info(node.id).addr)
        except UserError:  # damaged: said where it is opened
            return path

    def world(self, path: str, offset_only: bool = False) -> Place:
        """Voxel size and offset in nm: in the order of the axes, if they are named."""
        attrs, names = self.attrs(path), self.axes(path)
        turned = {key: spatial(value, names) if key in LISTS else value for key, value in attrs.items()}
        return world(turned, f"{self.container}:{path}", offset_only)

    def axes(self, path: str) -> list[str] | None:
        """As ``axistags`` (vigra, ilastik), ``DIMENSION_LABELS`` or ``axis_names`` say."""
        attrs = self.attrs(path)
        tags, labels = attrs.get("axistags"), attrs.get("DIMENSION_LABELS")
        if isinstance(tags, str):
            with contextlib.suppress(ValueError, TypeError, LookupError, RecursionError):
                tags = [axis["key"] for axis in json.loads(tags)["axes"]]
        return next(filter(None, map(clean, (tags, labels, attrs.get("axis_names")))), None)


def open_file(container: str) -> Hdf5:
    """The HDF5 file ``container``.

    :raises UserError: if it is none.
    """
    with _open(container):
        return Hdf5(container)


@contextlib.contextmanager
def _open(path: str) -> Iterator[Any]:
    """The open file; what h5py says of damaged structures, in whatever type, is a :class:`UserError`."""
    import h5py

    try:
        file = h5py.File(path, "r", locking=False)
    except PermissionError:
        raise
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise UserError(f"{path}: cannot be read as HDF5 ({_reason(error)}). Fetch or make it again") from error
    with file:
        yield file


@contextlib.contextmanager
def _node(path: str, name: str) -> Iterator[Any]:
    """The group or dataset ``name`` of the file ``path``, or None if there is none; links to other files are not followed.

    :raises UserError: if it is damaged.
    """
    with _open(path) as file:
        try:
            yield _find(file, [part for part in name.split("/") if part], f"{path}:{name}")
        except UserError:
            raise
        except (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError, OverflowError, MemoryError) as error:
            raise UserError(f"{path}:{name}: cannot be read as HDF5 ({_reason(error)}). Fetch or make it again") from error


def _find(file: Any, parts: list[str], where: str) -> Any:
    import h5py

    node, followed = file, 0
    while parts:
        part, *parts = parts
        if not isinstance(node, h5py.Group) or not node.id.links.exists(part.encode()):
            return None
        link = node.get(part, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            raise UserError(f"{where}: is a link to another file ({link.filename}), which is not followed. Name that file")
        if isinstance(link, h5py.SoftLink):
            followed += 1
            if followed > LINKS:
                raise UserError(f"{where}: is a link that leads to itself. Name another dataset")
            node = file if link.path.startswith("/") else node
            parts = [p for p in link.path.split("/") if p not in ("", ".")] + parts
        else:
            node = node[part]
    return node


def _reason(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1][:200]


def _plain(value: Any) -> Any:
    """``value`` with texts as str and arrays as lists."""
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return [_plain(v) for v in value] if isinstance(value, (list, tuple)) else value
