"""HDF5: attributes ``resolution`` (or ``voxel_size``) and ``offset`` in nm, z y x, at each dataset.

The file is opened for each read and closed again: a volume can so be handed to other processes, and a file that is
still being written by another program is not held.
"""

import contextlib
import json
from typing import Any

import numpy as np

from lsd_experiments.arrays.metadata import world
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Nanometres

PROVENANCE = "provenance"  # stored as JSON


class Hdf5Array:
    """One dataset; slices of it are read from disk."""

    def __init__(self, path: str, dataset: str) -> None:
        self.path, self.dataset = path, dataset
        with _open(path) as file:
            found = file[dataset]
            self.shape, self.dtype, self.chunks = found.shape, found.dtype, found.chunks

    def __getitem__(self, index: Any) -> Any:
        with _open(self.path) as file:
            return file[self.dataset][index]


class Hdf5:
    """The HDF5 file ``container``."""

    def __init__(self, container: str) -> None:
        self.container = container

    def array(self, path: str) -> Hdf5Array | None:
        """The dataset at ``path``, or None if there is none."""
        import h5py

        with _open(self.container) as file:
            found = file.get(path, getlink=False) if path else None
            is_numeric = isinstance(found, h5py.Dataset) and found.dtype.kind in "uifb"
        return Hdf5Array(self.container, path) if is_numeric else None

    def attrs(self, path: str) -> dict[str, Any]:
        """The attributes at ``path``, as plain values."""
        with _open(self.container) as file:
            node = file.get(path or "/")
            found = {} if node is None else {key: _plain(value) for key, value in node.attrs.items()}
        if isinstance(found.get(PROVENANCE), str):  # HDF5 has no tables
            with contextlib.suppress(ValueError):
                found[PROVENANCE] = json.loads(found[PROVENANCE])
        return found

    def children(self, path: str) -> list[str]:
        """The names in the group at ``path``."""
        import h5py

        with _open(self.container) as file:
            node = file.get(path or "/")
            return sorted(node) if isinstance(node, h5py.Group) else []

    def world(self, path: str) -> tuple[Nanometres | None, Nanometres | None]:
        """Voxel size and offset in nm."""
        return world(self.attrs(path), f"{self.container}:{path}")

    def channel_axis(self, path: str) -> None:
        """Not stored."""


def open_file(container: str) -> Hdf5:
    """The HDF5 file ``container``.

    :raises UserError: if it is none.
    """
    with _open(container):
        return Hdf5(container)


def _open(path: str) -> Any:
    import h5py

    try:
        return h5py.File(path, "r", locking=False)
    except PermissionError:
        raise
    except OSError as error:
        raise UserError(f"{path}: cannot be read as HDF5 ({error}). Fetch or make it again") from error


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value
