"""Tensors in TensorFlow's checkpoints ("V2": ``<prefix>.index``, ``<prefix>.data-00000-of-00001``), without TensorFlow.

The index is a table from a variable's name to a BundleEntryProto, which says where in which data file its values lie
(tensorflow/core/protobuf/tensor_bundle.proto); the empty name has the BundleHeaderProto. Values are read one tensor at a time,
from a memory map, and their checksum is tested whenever they are.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.checkpoints.checkpoint import INDEX
from lsd_experiments.checkpoints.sstable import read_table
from lsd_experiments.checkpoints.wire import Damaged, fields
from lsd_experiments.errors import UserError

ByteOrder = Literal["<", ">"]
AGAIN = "Fetch it again, or name another checkpoint"
DTYPES = {  # numbers of tensorflow/core/framework/types.proto
    1: "f4", 2: "f8", 3: "i4", 4: "u1", 5: "i2", 6: "i1", 9: "i8", 10: "?", 17: "u2", 19: "f2", 22: "u4", 23: "u8",
}  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """Where a tensor lies, and what it is. ``dtype``: None for one that is no array of numbers."""

    dtype: np.dtype[Any] | None
    shape: tuple[int, ...]
    shard: int
    offset: int  # bytes
    size: int  # bytes
    crc32c: int  # masked


@dataclass(frozen=True)
class Bundle:
    """An open checkpoint: ``entries`` by the variables' names."""

    path: Path
    data: tuple[Path, ...]
    entries: Mapping[str, Entry]

    @property
    def files(self) -> tuple[Path, ...]:
        """All its files: index, data."""
        return (self.path, *self.data)

    def read(self, name: str) -> NDArray[Any]:
        """The values of a variable.

        :raises UserError: if they are damaged, or not numbers.
        """
        from lsd_experiments.checkpoints.crc32c import masked_crc32c

        entry, data = self.entries[name], self.data[self.entries[name].shard]
        if entry.dtype is None:
            raise UserError(f"{self.path}: {name} is of a type that is not read: numbers are")
        if entry.size == 0:
            return np.empty(entry.shape, entry.dtype.newbyteorder("="))
        stored = np.memmap(data, np.uint8, "r", entry.offset, entry.size)
        if masked_crc32c(stored) != entry.crc32c:
            raise UserError(f"{data}: is damaged: the checksum of {name} does not agree. {AGAIN}")
        values = stored.view(entry.dtype).reshape(entry.shape)
        return np.array(values, entry.dtype.newbyteorder("="))


def open_bundle(path: str | Path) -> Bundle:
    """Read ``<prefix>.index``, and check that the data files hold what it promises; their values are not read.

    :raises UserError: if a file is missing, cut off or damaged, or no such checkpoint.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such checkpoint")
    try:
        table = read_table(path.read_bytes())
        shards, order = _header(table.pop(""))
        entries = {name: _entry(name, message, order) for name, message in table.items()}
    except (Damaged, KeyError) as error:
        what = "it has no header" if isinstance(error, KeyError) else error
        raise UserError(f"{path}: is not the index of a TensorFlow checkpoint, or damaged ({what}). {AGAIN}") from error
    prefix = path.name.removesuffix(INDEX)
    data = tuple(path.with_name(f"{prefix}.data-{shard:05d}-of-{shards:05d}") for shard in range(shards))
    for shard, file in enumerate(data):
        _check_data(file, max((e.offset + e.size for e in entries.values() if e.shard == shard), default=0))
    for name, entry in entries.items():
        if entry.shard >= shards:
            raise UserError(f"{path}: is damaged: {name} lies in data file {entry.shard} of {shards}. {AGAIN}")
    return Bundle(path, data, entries)


def _check_data(file: Path, size: int) -> None:
    if not file.is_file():
        raise UserError(f"{file}: is missing: the .index file beside it says where in it the weights lie. Fetch it, too")
    found = file.stat().st_size
    if found < size:
        raise UserError(f"{file}: is cut off: it has {found} bytes, and its index speaks of {size}. {AGAIN}")


def _header(message: bytes) -> tuple[int, ByteOrder]:
    """The number of data files, and the byte order of what is in them (``<`` or ``>``)."""
    values = dict(fields(message))
    shards = values.get(1, 0)
    if not isinstance(shards, int) or not 1 <= shards < 100_000:
        raise Damaged(f"it has {shards!r} data files")
    return shards, ">" if values.get(2) == 1 else "<"


def _entry(name: str, message: bytes, order: ByteOrder) -> Entry:
    values = dict(fields(message))
    if 7 in values:
        raise Damaged(f"{name} is stored in slices")
    numbers = [values.get(field, 0) for field in (1, 3, 4, 5, 6)]
    shape = values.get(2, b"")
    if not isinstance(shape, bytes) or not all(isinstance(number, int) for number in numbers):
        raise Damaged(f"{name} has fields of other types")
    number, shard, offset, size, crc32c = (int(n) for n in numbers)
    dtype = np.dtype(DTYPES[number]).newbyteorder(order) if number in DTYPES else None
    sizes = _shape(shape)
    if dtype is not None and size != dtype.itemsize * math.prod(sizes):
        raise Damaged(f"{name} of shape {sizes} has {size} bytes")
    return Entry(dtype, sizes, shard, offset, size, crc32c)


def _shape(message: bytes) -> tuple[int, ...]:
    """Of a TensorShapeProto: its dimensions (field 2), whose sizes are their field 1."""
    dimensions = [value for field, value in fields(message) if field == 2]
    return tuple(_size(dimension) for dimension in dimensions)


def _size(dimension: int | bytes) -> int:
    if not isinstance(dimension, bytes):
        raise Damaged("a shape has no dimensions")
    size = dict(fields(dimension)).get(1, 0)
    if not isinstance(size, int) or size >= 2**63:  # -1: not known
        raise Damaged("a shape is not known")
    return size
