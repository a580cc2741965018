"""Checksums of files, and whether one is the object of an ETag of S3.

The ETag of an object that was uploaded at once is its MD5. One that was uploaded in N parts has ``<MD5 of the parts' MD5s>-N``
(as S3 makes them; where another store does otherwise, or encrypts with a customer's key, an ETag says nothing of the content).
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path

MIB = 2**20
# What uploaders take: 5 MiB is S3's least, 8 MiB is the AWS CLI's; the last is that of Amazon's console.
COMMON = [count * MIB for count in (8, 16, 5, 10, 15, 25, 32, 50, 64, 100, 128, 256, 512, 1024)] + [17_179_870]
MOST = 32  # part sizes that are tried
CHUNK = 2**20


def matches(path: Path, etag: str | None, part_size: Callable[[], int | None] = lambda: None) -> bool:
    """Whether the content of ``path`` has ``etag``; True if that says nothing of the content.

    :param part_size: asked for bytes per part, if no usual size fits
    """
    found = re.fullmatch(r"([0-9a-f]{32})(?:-(\d+))?", etag or "")
    if not found:
        return True
    if not found[2]:
        return _digests(path, [None])[None] == found[1]
    size, parts = path.stat().st_size, int(found[2])
    if found[1] in _digests(path, usual_part_sizes(size, parts)).values():
        return True
    asked = part_size()
    return asked is not None and asked > 0 and found[1] in _digests(path, [asked]).values()


def sha256_of(path: Path) -> str:
    """The SHA-256 of the file ``path``, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def md5_of(path: Path) -> str:
    """The MD5 of the file ``path``, hexadecimal."""
    return str(_digests(path, [None])[None])


def usual_part_sizes(size: int, parts: int) -> list[int]:
    """The usual sizes of parts that make ``size`` bytes ``parts`` many, and the whole MiB that do if they are few."""
    if parts < 2:
        return [max(size, 1)]
    least, most = -(-size // parts), (size - 1) // (parts - 1)
    sizes = [part for part in COMMON if least <= part <= most]
    whole = [count * MIB for count in range(-(-least // MIB), most // MIB + 1)] if (most - least) // MIB < MOST else []
    return list(dict.fromkeys(sizes + whole))[:MOST]


def _digests(path: Path, part_sizes: Sequence[int | None]) -> dict[int | None, str]:
    """For each part size (None: the whole) the MD5 that stands in an ETag; the file is read once."""
    sums = {part: _Sum(part) for part in part_sizes}
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            for each in sums.values():
                each.update(chunk)
    return {part: each.digest() for part, each in sums.items()}


class _Sum:
    """The MD5 of a stream, or that of the MD5s of its parts."""

    def __init__(self, part_size: int | None) -> None:
        self.part_size, self.filled, self.parts = part_size, 0, b""
        self.part = hashlib.md5(usedforsecurity=False)

    def update(self, chunk: bytes) -> None:
        while self.part_size is not None and self.filled + len(chunk) >= self.part_size:
            rest = self.part_size - self.filled
            self.part.update(chunk[:rest])
            self._end_part()
            chunk = chunk[rest:]
        self.part.update(chunk)
        self.filled += len(chunk)

    def _end_part(self) -> None:
        self.parts += self.part.digest()
        self.part, self.filled = hashlib.md5(usedforsecurity=False), 0

    def digest(self) -> str:
        if self.part_size is None:
            return self.part.hexdigest()
        if self.filled or not self.parts:
            self._end_part()
        return hashlib.md5(self.parts, usedforsecurity=False).hexdigest()
