"""Blosc and gzip that notice damaged chunks.

numcodecs 0.15 decodes a truncated Blosc chunk to whatever lies behind it in memory, and an empty or short gzip file to
whatever was in the result before. Importing this module makes its codecs those that zarr looks up.
"""

import zlib
from typing import Any

import numcodecs
from numcodecs.compat import ensure_bytes, ensure_contiguous_ndarray, ndarray_copy

GZIP = 31  # zlib's way to say that there is gzip's header and checksum
GZIP_PART = b"\x1f\x8b\x08"  # what a part begins with; also elsewhere by chance
DEFLATED = 1032  # deflate compresses to this part at best


class CheckedBlosc(numcodecs.Blosc):
    """Blosc, checking that a chunk is as long as its header says (bytes 12 to 15, little endian)."""

    codec_id = "blosc"

    def decode(self, buf: Any, out: Any = None) -> Any:
        """Decompress ``buf``.

        :raises ValueError: if it is shorter or longer than its header says.
        """
        stored = ensure_contiguous_ndarray(buf).view("u1")
        said = int.from_bytes(stored[12:16].tobytes(), "little")
        if stored.nbytes < 16 or stored.nbytes != said:
            raise ValueError(f"{stored.nbytes} bytes, where its header says {said}")
        return super().decode(buf, out)


class CheckedGZip(numcodecs.GZip):
    """Gzip, checking that a chunk fills the result."""

    codec_id = "gzip"

    def decode(self, buf: Any, out: Any = None) -> Any:
        """Decompress ``buf``.

        :raises ValueError: if it holds fewer or more bytes than ``out``.
        """
        values = self._whole(buf)
        if out is not None and len(values) != ensure_contiguous_ndarray(out).nbytes:
            raise ValueError(f"{len(values)} bytes decompressed, where {ensure_contiguous_ndarray(out).nbytes} belong")
        return ndarray_copy(values, out)

    def _whole(self, buf: Any) -> Any:
        """All of ``buf`` in one call, a quarter of the time that numcodecs' pieces take; those, if it may have several parts."""
        stored = ensure_bytes(buf)
        said = int.from_bytes(stored[-4:], "little")  # bytes, decompressed; of the last part
        if stored.find(GZIP_PART, 1) < 0:
            values = zlib.decompress(stored, GZIP, min(said, DEFLATED * len(stored)) or 1)
            if len(values) == said:
                return values
        return super().decode(buf)


numcodecs.register_codec(CheckedBlosc)
numcodecs.register_codec(CheckedGZip)


class Bounded(numcodecs.abc.Codec):
    """``codec``, which decodes to at most ``limit`` bytes: a small file may say that it holds gigabytes."""

    def __init__(self, codec: Any, limit: int) -> None:
        self.codec, self.limit = codec, limit
        self.codec_id = codec.codec_id

    def encode(self, buf: Any) -> Any:
        """As ``codec`` does."""
        return self.codec.encode(buf)

    def get_config(self) -> Any:
        """That of ``codec``."""
        return self.codec.get_config()

    def decode(self, buf: Any, out: Any = None) -> Any:
        """Decompress ``buf``.

        :raises ValueError: if it holds more than ``limit`` bytes, or is incomplete.
        """
        stored = ensure_bytes(buf)
        said = SIZES[self.codec_id](stored) if self.codec_id in SIZES else None
        if self.codec_id in STREAMS:
            values = _stream(stored, STREAMS[self.codec_id](self.codec), self.limit)
            return self._exactly(values, out)
        if said is not None and said > self.limit:
            raise ValueError(f"{said} bytes decompressed, where {self.limit} belong")
        if out is not None and said is not None and said != ensure_contiguous_ndarray(out).nbytes:
            raise ValueError(f"{said} bytes decompressed, where {ensure_contiguous_ndarray(out).nbytes} belong")
        return self.codec.decode(buf, out)

    @staticmethod
    def _exactly(values: bytes, out: Any) -> Any:
        if out is not None and len(values) != ensure_contiguous_ndarray(out).nbytes:
            raise ValueError(f"{len(values)} bytes decompressed, where {ensure_contiguous_ndarray(out).nbytes} belong")
        return ndarray_copy(values, out)


def _stream(stored: bytes, make: Any, limit: int) -> bytes:
    """All parts of ``stored``, in pieces so that no more than ``limit`` bytes are made."""
    values = b""
    while stored:
        part = make()
        values += part.decompress(stored, limit + 1 - len(values))
        if len(values) > limit:
            raise ValueError(f"more than the {limit} bytes that belong there")
        if not part.eof:
            raise ValueError("incomplete")
        stored = part.unused_data
    return values


def _zstd_size(stored: bytes) -> int | None:
    """The size that a frame's header says, or None."""
    if stored[:4] != b"\x28\xb5\x2f\xfd" or len(stored) < 18:
        return None
    code, is_single = stored[4] >> 6, stored[4] >> 5 & 1
    begin = 5 + (not is_single) + (0, 1, 2, 4)[stored[4] & 3]
    length = (1 if is_single else 0, 2, 4, 8)[code]
    said = int.from_bytes(stored[begin:begin + length], "little") + (256 if length == 2 else 0)
    return said if length else None


def _lzma(codec: Any) -> Any:
    import lzma

    return lambda: lzma.LZMADecompressor(format=codec.format, filters=codec.filters if codec.format == lzma.FORMAT_RAW else None)


def _bz2(_: Any) -> Any:
    import bz2

    return bz2.BZ2Decompressor


SIZES = {
    "blosc": lambda stored: int.from_bytes(stored[4:8], "little"),
    "lz4": lambda stored: int.from_bytes(stored[:4], "little"),
    "zstd": _zstd_size,
}
STREAMS = {
    "gzip": lambda _: lambda: zlib.decompressobj(GZIP),
    "zlib": lambda _: zlib.decompressobj,
    "bz2": _bz2,
    "lzma": _lzma,
}
