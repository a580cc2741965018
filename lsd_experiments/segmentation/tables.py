"""Look-up tables as members of npz files that can be memory-mapped.

An npz file is a zip of npy files. Where a member is stored as it is, not compressed, the array's bytes are in the file:

    local header | name | extra fields, up to a multiple of 64 | npy header | n fragments | n segments | directory
                                                                            ^ what is mapped

One of the extra fields marks tables of ours: their ids ascend, so that readers need not look at all of them to know.
"""

import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.segmentation.scratch import naming

ARRAY = "fragment_segment_lut"  # as published
MEMBER = f"{ARRAY}.npy"
MARK = b"ids ascend"
MARK_ID = 0x534C  # of the extra field: one that the zip specification (APPNOTE.TXT, 4.5.2) leaves free
ALIGNMENT = 64  # bytes, as npy files have it
LOCAL = struct.Struct("<4s22sHH")  # signature, what the directory says, too, lengths of the name and the extra fields
FIELD = struct.Struct("<HH")  # id and length of an extra field
ZIP64 = 20  # bytes of the extra field that zipfile puts before ours
ROWS = 2**20  # that are written at a time

Column = Callable[[int, int], NDArray[np.uint64]]
"""The rows from the first argument to the second of a column."""


@dataclass(frozen=True)
class Layout:
    """Where a table is in its file.

    :param offset: of its first byte
    :param rows: n of [2, n] uint64
    :param ascends: whether the file says that its ids do
    """

    offset: int
    rows: int
    ascends: bool


def write_table(path: Path, rows: int, fragments: Column, segments: Column) -> None:
    """Write a table [2, rows] uint64 to ``path``, a million rows at a time.

    :param fragments: ids, ascending
    :param segments: what each one belongs to
    :raises OSError: naming ``path``, if the disk is full
    """
    member = zipfile.ZipInfo(MEMBER)  # of 1980: equal tables are equal files
    before = LOCAL.size + len(MEMBER) + ZIP64 + FIELD.size + len(MARK)
    content = MARK + bytes(-before % ALIGNMENT)
    member.extra = FIELD.pack(MARK_ID, len(content)) + content
    chunks = [(begin, min(begin + ROWS, rows)) for begin in range(0, rows, ROWS)]
    last = -1
    with naming(path), zipfile.ZipFile(path, "w") as archive, archive.open(member, "w", force_zip64=True) as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<u8", "fortran_order": False, "shape": (2, rows)})
        for begin, end in chunks:
            ids = np.ascontiguousarray(fragments(begin, end), "<u8")
            last = check_ascending(ids, last)
            file.write(ids.data)
        for begin, end in chunks:
            file.write(np.ascontiguousarray(segments(begin, end), "<u8").data)


def check_ascending(ids: NDArray[np.uint64], last: int) -> int:
    """The last of ``ids``, of which there must be some; asserts that they ascend, and that ``last`` is below them."""
    ascending = bool((ids[1:] > ids[:-1]).all()) and int(ids[0]) > last
    assert ascending, "fragment ids must ascend, from batch to batch, too"
    return int(ids[-1])


def find_table(path: Path) -> Layout | None:
    """Where the table in ``path`` can be mapped; None where it is compressed, of another type, or not aligned to 8 bytes.

    :raises OSError: if the file cannot be read
    :raises ValueError: if its headers contradict each other
    :raises KeyError: if it has no such member
    :raises zipfile.BadZipFile: if it is no zip, or cut off
    """
    with zipfile.ZipFile(path) as archive:
        member, directory = archive.getinfo(MEMBER), archive.start_dir
    if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:  # 1: encrypted
        return None
    shape, fortran_order, dtype, begin, offset = _headers(path, member.header_offset)
    size = member.file_size
    if len(shape) != 2 or shape[0] != 2 or offset - begin + 2 * shape[1] * dtype.itemsize != size or begin + size > directory:
        raise ValueError(f"an array of shape {shape} in {size} bytes at {begin} of {directory}")
    if fortran_order or dtype != np.dtype("<u8") or offset % dtype.itemsize:
        return None
    return Layout(offset, shape[1], _is_marked(member.extra))


def map_table(path: Path, layout: Layout) -> NDArray[np.uint64]:
    """The table [2, n], read-only; its pages come into memory as they are looked at."""
    if not layout.rows:
        return np.zeros((2, 0), np.uint64)
    return np.memmap(path, "<u8", "r", layout.offset, (2, layout.rows))


def _headers(path: Path, header_offset: int) -> tuple[tuple[int, ...], bool, np.dtype[np.generic], int, int]:
    """Shape, order and type of the array in the stored member at ``header_offset``, and where member and array begin."""
    with path.open("rb") as file:
        file.seek(header_offset)
        header = file.read(LOCAL.size)
        if len(header) < LOCAL.size or not header.startswith(b"PK\x03\x04"):
            raise ValueError("the member has no header")
        begin = header_offset + LOCAL.size + sum(LOCAL.unpack(header)[2:])
        file.seek(begin)
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        return *read(file), begin, file.tell()


def _is_marked(extra: bytes) -> bool:
    while len(extra) >= FIELD.size:
        id_, length = FIELD.unpack_from(extra)
        if id_ == MARK_ID and extra[FIELD.size:FIELD.size + length].startswith(MARK):
            return True
        extra = extra[FIELD.size + length:]
    return False
