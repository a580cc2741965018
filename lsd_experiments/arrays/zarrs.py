"""zarr 2, plain (attributes ``resolution`` and ``offset`` in nm, z y x) or OME-Zarr."""

from pathlib import Path
from typing import Any

from lsd_experiments.arrays import ome
from lsd_experiments.arrays.metadata import world
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Nanometres


class Zarr:
    """The zarr container in ``store``, which is called ``container`` in messages."""

    def __init__(self, container: str, store: Any, writable: bool = False) -> None:
        self.container = container
        self.store = store
        self.writable = writable

    def array(self, path: str) -> Any | None:
        """The array at ``path``, or None if there is none."""
        import zarr

        import lsd_experiments.arrays.codecs  # noqa: F401  (so that damaged chunks are noticed)

        if not zarr.storage.contains_array(self.store, path):
            return None
        with self._readable(path):
            return zarr.Array(self.store, path=path, read_only=not self.writable)

    def attrs(self, path: str) -> dict[str, Any]:
        """The attributes of the group or array at ``path``."""
        import zarr

        node = self.array(path)
        if node is None and zarr.storage.contains_group(self.store, path):
            node = zarr.Group(self.store, path=path, read_only=True)
        with self._readable(path):
            return {} if node is None else dict(node.attrs.asdict())

    def children(self, path: str) -> list[str]:
        """The names in the group at ``path``."""
        return [name for name in self.store.listdir(path) if not name.startswith(".")]

    def world(self, path: str) -> tuple[Nanometres | None, Nanometres | None]:
        """Voxel size and offset: from the OME scale level that ``path`` is, or else its attributes."""
        level = ome.level(*self._parent(path))
        return ome.world(*level) if level else world(self.attrs(path), f"{self.container}:{path}")

    def channel_axis(self, path: str) -> bool | None:
        """Known for OME scale levels."""
        level = ome.level(*self._parent(path))
        array = self.array(path)
        if not level or array is None:
            return None
        return ome.has_channels(level[0], array.shape, f"{self.container}:{path}")

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


class _Readable:
    """Turns what zarr says about broken metadata into a :class:`UserError`."""

    def __init__(self, where: str) -> None:
        self.where = where

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        import zarr

        if isinstance(error, (zarr.errors.MetadataError, ValueError, KeyError, TypeError)):
            raise UserError(f"{self.where}: its metadata cannot be read ({error}). Fetch or make it again") from error


def open_local(container: str, writable: bool = False) -> Zarr:
    """The zarr directory ``container``.

    :raises UserError: if it is none, or of another version.
    """
    import zarr

    if not any((Path(container) / name).is_file() for name in (".zgroup", ".zarray")):
        if (Path(container) / "zarr.json").is_file():
            raise UserError(f"{container}: zarr format 3 is not read. Convert it to format 2")
        raise UserError(f"{container}: a directory, but neither zarr nor N5 (it has none of .zgroup, .zarray and "
                        "attributes.json)")
    return Zarr(container, zarr.DirectoryStore(container), writable)
