"""zarr's arrays and stores, with metadata checked before zarr believes it, and absent chunks that read as 0.

    "fill_value": null, or none         0 (zarr 2 gives what was in memory)
    "dimension_separator"               that of the chunk files that there are
    "zarr_format": "2"                  2, as webKnossos writes it
"""

import json
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.n5 import N5ChunkWrapper

from lsd_experiments.arrays.codecs import Bounded
from lsd_experiments.errors import UserError

LONGEST = 2**31  # voxels along an axis, and bytes of a compressed chunk
LOOKED_AT = 10_000  # names in an array's directory, at most
ROOM = 16  # what filters may make of a chunk's size


class Directory(zarr.DirectoryStore):
    """A zarr directory."""

    def __getitem__(self, key: str) -> Any:
        value = super().__getitem__(key)
        if key.rpartition("/")[2] != ".zarray":
            return value
        where = f"{self.path}:{key.rpartition('/')[0]}"
        return repaired(value, where, lambda _: _names(Path(self.path) / key.rpartition("/")[0]))


class Array(zarr.Array):
    """An array that decodes no chunk beyond its size; also after it was pickled."""

    _compressor: Any

    def _load_metadata_nosync(self) -> None:
        super()._load_metadata_nosync()
        size = math.prod(self._chunks) * self._dtype.itemsize
        if isinstance(self._compressor, N5ChunkWrapper):
            if self._compressor._compressor is not None:
                self._compressor._compressor = Bounded(self._compressor._compressor, size)
        elif self._compressor is not None:
            self._compressor = Bounded(self._compressor, ROOM * size + 2**16 if self._filters else size)


def repaired(metadata: bytes, where: str, names: Callable[[dict[str, Any]], Iterable[tuple[str, bool]]] | None = None,
             codecs: bool = True) -> bytes:
    """The ``.zarray`` that zarr is to see in place of ``metadata``.

    ``names``: of what lies beside it, and whether that is a directory, given the metadata; it tells how chunks are named.
    ``codecs``: they are looked at, too; N5's are zarr's affair.

    :raises UserError: if it is nonsense; ``where`` names the array.
    """
    try:
        meta = json.loads(bytes(metadata))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: its metadata cannot be read ({error}). Fetch or make it again") from error
    if not isinstance(meta, dict):
        raise _nonsense(where, "its .zarray", meta)
    if meta.get("zarr_format") in ("2", 2) and not isinstance(meta.get("zarr_format"), bool):
        meta["zarr_format"] = 2
    else:
        raise _nonsense(where, "'zarr_format'", meta.get("zarr_format"))
    check(meta, where, codecs)
    if meta.get("fill_value") is None:
        meta["fill_value"] = 0
    if names is not None and len(meta["shape"]) > 1:
        meta["dimension_separator"] = _separator(names(meta), len(meta["shape"]), meta.get("dimension_separator"), where)
    return json.dumps(meta).encode()


def check(meta: dict[str, Any], where: str, codecs: bool = True) -> None:
    """:raises UserError: if shape, chunks, type, fill value or codecs of a ``.zarray`` are none that can be read."""
    shape, chunks = (_lengths(meta, key, where) for key in ("shape", "chunks"))
    if len(shape) != len(chunks):
        raise UserError(f"{where}: its chunks {chunks} have not as many axes as its shape {shape}. Fetch or make it again")
    dtype = _dtype(meta.get("dtype"), where)
    compressor = meta.get("compressor")
    if compressor is not None and math.prod(chunks) * dtype.itemsize >= LONGEST:
        raise UserError(f"{where}: chunks of {chunks} voxels are more than can be decompressed. Fetch or make it again")
    if math.prod(min(s, c) for s, c in zip(shape, chunks, strict=True)) * LONGEST < math.prod(chunks):
        raise _nonsense(where, "'chunks'", chunks)
    _check_fill(meta.get("fill_value"), dtype, where)
    if meta.get("order", "C") not in ("C", "F"):
        raise _nonsense(where, "'order'", meta["order"])
    meta.setdefault("order", "C")
    if meta.get("dimension_separator") not in (None, ".", "/"):
        raise _nonsense(where, "'dimension_separator'", meta["dimension_separator"])
    filters = meta.setdefault("filters", None)
    meta.setdefault("compressor", None)
    if filters is not None and not isinstance(filters, list):
        raise _nonsense(where, "'filters'", filters)
    for codec in [*(filters or ()), *([] if compressor is None else [compressor])] if codecs else ():
        _check_codec(codec, where)


def _lengths(meta: dict[str, Any], key: str, where: str) -> list[int]:
    values = meta.get(key)
    is_list = isinstance(values, list) and all(isinstance(v, int) and not isinstance(v, bool) for v in values)
    if not is_list or not values or not all(0 < v < LONGEST for v in values):
        raise _nonsense(where, f"'{key}'", values)
    return list(values)


def _dtype(name: Any, where: str) -> np.dtype[Any]:
    try:
        dtype = np.dtype(name) if isinstance(name, str) else None
    except (TypeError, ValueError, SyntaxError):
        dtype = None
    if dtype is None or dtype.kind not in "buif":
        raise UserError(f"{where}: arrays of type {name!r} are no volumes. Name another dataset")
    return dtype


def _check_fill(value: Any, dtype: np.dtype[Any], where: str) -> None:
    if value is None or (dtype.kind == "f" and value in ("NaN", "Infinity", "-Infinity")):
        return
    is_fitting = isinstance(value, (bool, int, float))
    if is_fitting and dtype.kind in "ui":
        is_fitting = value == value // 1 and np.iinfo(dtype).min <= value <= np.iinfo(dtype).max
    if not is_fitting:
        raise _nonsense(where, f"'fill_value' of type {dtype}", value)


def _check_codec(config: Any, where: str) -> None:
    import numcodecs

    try:
        numcodecs.get_codec(dict(config))
    except Exception as error:  # whatever numcodecs' constructors make of foreign settings
        raise UserError(f"{where}: its codec {str(config)[:80]} is not known ({str(error)[:80]}). Write the array "
                        "again with one that numcodecs knows, such as gzip, by the program that made it") from error


def _names(directory: Path) -> Iterator[tuple[str, bool]]:
    with os.scandir(directory) as entries:
        for _, entry in zip(range(LOOKED_AT), entries, strict=False):
            yield entry.name, entry.name.isdecimal() and entry.is_dir()


def _separator(names: Iterable[tuple[str, bool]], axes: int, said: str | None, where: str) -> str:
    """``.`` or ``/``, as the chunks among ``names`` are named; as ``said`` if there is none.

    :raises UserError: if there are both.
    """
    flat = re.compile(rf"\d+(\.\d+){{{axes - 1}}}")
    found = set()
    for name, is_directory in names:
        if flat.fullmatch(name):
            found.add(".")
        elif name.isdecimal() and is_directory:
            found.add("/")
        if len(found) == 2:
            raise UserError(f"{where}: has chunks named like 0.0.0 and others like 0/0/0. Remove those that do not belong "
                            "to it, or make it again")
    return found.pop() if found else said or "."


def _nonsense(where: str, what: str, value: Any) -> UserError:
    return UserError(f"{where}: {what} is {str(value)[:80]}, in its metadata. It is damaged: fetch or make it again")
