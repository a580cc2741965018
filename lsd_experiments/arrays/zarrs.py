"""zarr 2, plain (attributes ``resolution`` and ``offset`` in nm, z y x) or OME-Zarr."""

import json
import os
from collections.abc import Hashable
from pathlib import Path
from typing import Any

from lsd_experiments.arrays import axes, ome
from lsd_experiments.arrays.axes import spatial
from lsd_experiments.arrays.metadata import Place, world
from lsd_experiments.errors import UserError

AXES = ("axis_names", "_ARRAY_DIMENSIONS")  # attributes that name the axes
LISTS = ("resolution", "voxel_size", "offset", "units")  # those with a number for each axis

class Zarr:
    """The zarr container in ``store``, which is called ``container`` in messages."""

    def __init__(self, container: str, store: Any, writable: bool = False) -> None:
        self.container = container
        self.store = store
        self.writable = writable

    def array(self, path: str) -> Any | None:
        """The array at ``path``, or None if there is none."""
        import zarr

        from lsd_experiments.arrays.zarr_arrays import Array

        with self._readable(path):
            if not zarr.storage.contains_array(self.store, path):
                return None
            return Array(self.store, path=path, read_only=not self.writable)

    def attrs(self, path: str) -> dict[str, Any]:
        """The attributes of the group or array at ``path``."""
        with self._readable(path):
            stored = self.store.get(f"{path}/.zattrs".lstrip("/"))
            attrs = {} if stored is None else json.loads(bytes(stored))
        if not isinstance(attrs, dict):
            raise UserError(f"{self.container}:{path}: its attributes are {str(attrs)[:80]}, no table. Correct its .zattrs")
        return attrs

    def children(self, path: str) -> list[str]:
        """The names in the group at ``path``."""
        return [name for name in self.store.listdir(path) if not name.startswith(".")]

    def identity(self, path: str) -> Hashable:
        """Where the group or array at ``path`` lies, links followed."""
        return path if "://" in self.container else os.path.realpath(f"{self.container}/{path}")

    def world(self, path: str, offset_only: bool = False) -> Place:
        """Voxel size and offset: from the OME scale level that ``path`` is, or else its attributes."""
        level = ome.level(*self._parent(path))
        if level:
            return ome.world(*level, offset_only)
        attrs, names = self.attrs(path), self._named(path)
        turned = {key: spatial(attrs[key], names) if key in LISTS else attrs[key] for key in attrs}
        return world(turned, f"{self.container}:{path}", offset_only)

    def axes(self, path: str) -> list[str] | None:
        """The names of the axes of the array at ``path``, as OME, funlib.persistence or xarray tell them."""
        level = ome.level(*self._parent(path))
        return ome.axes(level[0]) if level else self._named(path)

    def _named(self, path: str) -> list[str] | None:
        attrs = self.attrs(path)
        return next(filter(None, (axes.clean(attrs.get(key)) for key in AXES)), None)

    def _parent(self, path: str) -> tuple[dict[str, Any], str, str]:
        """What :func:`ome.level` needs: the attributes of the group that holds ``path``, its name in it, and where.

        A level may lie deeper (``scale/0``), so that all groups above are looked at, the nearest first.
        """
        parts = path.split("/") if path else []
        for depth in range(len(parts) - 1, -1, -1):
            attrs = self.attrs("/".join(parts[:depth]))
            if "multiscales" in attrs:
                return attrs, "/".join(parts[depth:]), f"{self.container}:{'/'.join(parts[:depth])}"
        return {}, path, self.container

    def _readable(self, path: str) -> "_Readable":
        return _Readable(f"{self.container}:{path}")


# What zarr, numpy and json raise on metadata that is nonsense.
NONSENSE = (ValueError, LookupError, TypeError, AttributeError, OverflowError, AssertionError, RecursionError,
            NotImplementedError)


class _Readable:
    """Turns what zarr says about broken metadata into a :class:`UserError`."""

    def __init__(self, where: str) -> None:
        self.where = where

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        import zarr

        if isinstance(error, (*NONSENSE, zarr.errors.MetadataError)):
            raise UserError(f"{self.where}: its metadata cannot be read ({error}). Fetch or make it again") from error


def third_format(container: str) -> UserError:
    """Of a container of zarr 3, which this package's zarr 2 cannot read, so that no command of it can convert it."""
    return UserError(f"{container}: zarr format 3 is not read. Write it again in format 2, N5 or HDF5 by the program that made "
                     "it (in zarr-python 3: zarr.create_array(..., zarr_format=2))")


def open_local(container: str, writable: bool = False) -> Zarr:
    """The zarr directory ``container``.

    :raises UserError: if it is none, or of another version.
    """
    from lsd_experiments.arrays.zarr_arrays import Directory

    if not any((Path(container) / name).is_file() for name in (".zgroup", ".zarray")):
        if (Path(container) / "zarr.json").is_file():
            raise third_format(container)
        if not any(next(Path(container).glob(f"{below}.zarray"), None) for below in ("*/", "*/*/", "*/*/*/")):
            raise UserError(f"{container}: a directory, but neither zarr nor N5 (it has none of .zgroup, .zarray and "
                            "attributes.json)")
    return Zarr(container, Directory(container), writable)
