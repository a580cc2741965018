"""Directories of this machine: which format lies there, and who reads it.

    zarr 2, N5             zarr's own library, which also writes them
    zarr 3, precomputed    tensorstore
"""

from pathlib import Path

from lsd_experiments.arrays import n5, zarrs
from lsd_experiments.arrays.addresses import Address
from lsd_experiments.arrays.hierarchy import Hierarchy
from lsd_experiments.arrays.precomputed import Precomputed, is_precomputed
from lsd_experiments.arrays.zarr3 import Zarr3
from lsd_experiments.errors import UserError

MARKS = {".zgroup": "zarr2", ".zarray": "zarr2", "zarr.json": "zarr3", "attributes.json": "n5"}


def kind_of(path: Path) -> str | None:
    """The format of the directory ``path`` by the files that it has at its root; None if there are none."""
    found = next((kind for mark, kind in MARKS.items() if (path / mark).is_file()), None)
    return found or ("precomputed" if is_precomputed(path) else None)


def open_directory(address: Address, writable: bool = False) -> Hierarchy:
    """The container in the directory of ``address``.

    :raises UserError: if there is none
    """
    path, name, kind = Path(address.path), address.name, address.kind
    if kind is None or (kind == "zarr" and kind_of(path) in ("zarr2", "zarr3")):
        kind = kind_of(path) or ("n5" if path.suffix == ".n5" else _kind_below(path))
    if kind in ("precomputed", "zarr3"):
        store = _Files(path)
        return Precomputed(address, store, None) if kind == "precomputed" else Zarr3(address, store, None)
    return n5.open_local(address.path, name) if kind == "n5" else zarrs.open_local(address.path, writable, name)


def _kind_below(path: Path) -> str:
    """The format of arrays in a directory that says nothing itself."""
    marks = (".zarray", "zarr.json", "attributes.json")
    found = (MARKS[mark] for mark in marks for below in ("*/", "*/*/", "*/*/*/") if next(path.glob(f"{below}{mark}"), None))
    return next(found, "zarr2")


class _Files:
    """What metadata are read from."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def get(self, key: str) -> bytes | None:
        """The content of a file, or None if it is not there."""
        path = self.directory / key
        try:
            return path.read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror})") from error

    def listdir(self, path: str) -> list[str]:
        """The names in a directory."""
        directory = self.directory / path
        return sorted(entry.name for entry in directory.iterdir()) if directory.is_dir() else []


def is_n5(path: Path) -> bool:
    """Whether the directory ``path`` is N5, and may be written as such."""
    is_zarr = any((path / file).is_file() for file in (".zgroup", ".zarray", "zarr.json"))
    return path.is_dir() and not is_zarr and (path.suffix == ".n5" or (path / "attributes.json").is_file())
