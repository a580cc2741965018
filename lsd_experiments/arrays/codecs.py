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
