"""zarr's store of an N5 directory, with metadata checked before zarr believes it."""

import json
from typing import Any

import zarr

from lsd_experiments.arrays.zarr_arrays import repaired
from lsd_experiments.errors import UserError


class Directory(zarr.N5Store):
    """An N5 directory."""

    def __getitem__(self, key: str) -> Any:
        group, _, name = key.rpartition("/")
        if name not in (".zarray", ".zattrs", ".zgroup"):
            return super().__getitem__(key)
        where = f"{self.path}:{group}"
        try:
            value = super().__getitem__(key)
        except KeyError:
            if name == ".zarray":
                self._check(group, where)
            raise
        except (ValueError, TypeError, AttributeError, LookupError, OverflowError, RecursionError, AssertionError) as error:
            raise UserError(f"{where}: its attributes.json cannot be read ({error}). Fetch or make it again") from error
        return repaired(value, where, codecs=False) if name == ".zarray" else value

    def _load_n5_attrs(self, path: str) -> dict[str, Any]:
        return table(super()._load_n5_attrs(path), f"{self.path}:{path.rpartition('/')[0]}")

    def _check(self, group: str, where: str) -> None:
        """An array whose metadata lacks a key is none to zarr: it would be hidden."""
        try:
            stored = json.loads(zarr.DirectoryStore.__getitem__(self, f"{group}/attributes.json".lstrip("/")))
        except (KeyError, ValueError):
            return
        if isinstance(stored, dict) and "dimensions" in stored:
            raise UserError(f"{where}: its attributes.json lacks what an array needs (dimensions, blockSize, dataType and "
                            "compression). Fetch or make it again")


def table(attributes: Any, where: str) -> dict[str, Any]:
    """``attributes`` of the group or array ``where``, if they are a table: else zarr would see neither group nor array there."""
    if not isinstance(attributes, dict):
        raise UserError(f"{where}: its attributes.json is {str(attributes)[:80]}, no table. Fetch or make it again")
    return attributes
