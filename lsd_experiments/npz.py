"""NumPy's ``.npy`` and ``.npz`` of strangers: what they claim is compared with what they hold, before memory is taken for it.

Nothing is unpickled. An archive's members are stored or deflated, as NumPy writes them: they unpack to 1032 times their size at
most, and their checksums are compared.
"""

import math
import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

Unpickle = Callable[[IO[bytes]], Any]

# What reading a damaged one may end in: RuntimeError for methods and passwords that nobody asked for, SyntaxError for headers.
DAMAGE = (OSError, EOFError, ValueError, LookupError, ArithmeticError, RuntimeError, MemoryError, SyntaxError, TypeError,
          struct.error, tokenize.TokenError, zipfile.BadZipFile, zlib.error)
DEFLATED = 1032  # bytes that one of a deflated member is, at most
PICKLED = 50  # of a pickle
END = 22  # bytes of the record at the end of an archive without a remark
SLACK = 2**20  # bytes that a small member may be in any case


def read_npy(file: IO[bytes], size: int, unpickle: Unpickle | None = None) -> Any:
    """The array in ``file``, of which ``size`` bytes are left, read-only.

    :param unpickle: reads what an array of objects is pickled as; None: those are an error
    :raises DAMAGE: if it is none, or not of the size that its header says
    """
    begin = file.tell()
    version = npy.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"NumPy's format {version} is not known")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # headers that Python 2 wrote
        shape, is_fortran, dtype = (npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0)(file)
    if dtype.hasobject:
        if unpickle is None:
            raise ValueError("an array of objects, which would be a pickle")
        return unpickle(file)
    expected, left = math.prod(shape) * dtype.itemsize, size - (file.tell() - begin)
    if expected != left or min(shape, default=0) < 0:
        raise ValueError(f"an array of shape {shape} in {left} bytes")
    content = file.read()
    if len(content) < expected:
        raise ValueError(f"{len(content)} bytes of {expected}")
    return np.ndarray(shape, dtype, content, order="F" if is_fortran else "C")


def names_in(archive: zipfile.ZipFile, file: IO[bytes]) -> list[str]:
    """The names of the arrays in ``archive``, that is in ``file``; its records of what is in it must say the same.

    :raises DAMAGE: if they do not
    """
    file.seek(-END, 2)
    end, members = file.read(END), archive.infolist()
    count = int.from_bytes(end[10:12], "little")
    if end.startswith(b"PK\x05\x06") and count not in (len(members), 2**16 - 1):  # the latter: more
        raise ValueError("it has another number of members than it says")
    for member in members:
        if not member.filename.endswith(".npy"):
            raise ValueError(f"it holds {shown([member.filename])}, which is no array")
        archive.open(member).close()
    return list(dict.fromkeys(member.filename.removesuffix(".npy") for member in members))


def read_member(archive: zipfile.ZipFile, name: str, unpickle: Unpickle | None = None, largest: int = 2**63) -> Any:
    """The array ``name`` of ``archive``; see :func:`read_npy`.

    :param largest: bytes that it may unpack to
    """
    member = archive.getinfo(f"{name}.npy")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{name!r} is compressed in a way that NumPy does not know")
    _check_size(member, min(largest, SLACK + DEFLATED * member.compress_size))
    with archive.open(member) as file:
        return read_npy(file, member.file_size, unpickle and _bounded(unpickle, member))


def _bounded(unpickle: Unpickle, member: zipfile.ZipInfo) -> Unpickle:
    def read(file: IO[bytes]) -> Any:
        _check_size(member, SLACK + PICKLED * member.compress_size)
        return unpickle(file)
    return read


def _check_size(member: zipfile.ZipInfo, most: int) -> None:
    if member.file_size > most:
        raise ValueError(f"{member.filename.removesuffix('.npy')!r} unpacks to {member.file_size} bytes, more than {most}")


def shown(names: Iterable[str]) -> str:
    """Some ``names``, for a message."""
    first = sorted(name[:40] for name in names)
    return ", ".join(map(_printable, first[:6])) + (f" and {len(first) - 6} more" if len(first) > 6 else "") or "nothing"


def _printable(name: str) -> str:
    return name if name.isprintable() else repr(name)
