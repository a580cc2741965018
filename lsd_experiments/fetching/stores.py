"""Where objects come from. A key is a path with ``/``, from the bucket's root; an ETag tells one content of it from another.

The stores: a bucket (``s3``), files at URLs (``urls``), a directory with the files of either.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lsd_experiments.errors import UserError
from lsd_experiments.pauses import growing_pause

CHUNK = 2**18  # bytes that are read at once
TRIES = 8  # of a request, or of the rest of an object: a minute or so in all, if nothing hangs
PAUSE, LONGEST = 0.5, 20.0  # seconds: up to the first before the second try, then twice as long each time, up to the second
PATIENT = 120.0  # seconds, which a server may ask for, at most


@dataclass(frozen=True)
class StoredObject:
    """An object: its key, its size in bytes, its ETag without quotes (``None`` where there is none to compare), and its MD5.

    ``md5``: hexadecimal, where the server says it besides the ETag.
    """

    key: str
    size: int
    etag: str | None
    md5: str | None = None


class Interruption(Exception):
    """The connection broke off, or the server is overloaded: what came before counts, and the rest can be asked for again.

    :param after: seconds that the server asks to wait before
    """

    def __init__(self, reason: str, after: float = 0) -> None:
        super().__init__(reason)
        self.after = after


class Changed(Exception):
    """The object is not the one any more that was listed."""


def pause(tries: int, after: float = 0) -> float:
    """Seconds to wait after so many ``tries`` in vain: longer each time, of random length, as Amazon asks; ``after`` at least."""
    return max(min(after, PATIENT), growing_pause(tries, PAUSE, LONGEST))


class Store(Protocol):
    """A bucket, or what stands for one. Every method raises a UserError if it cannot be read."""

    name: str  # for messages

    def check(self) -> None:
        """Raise a UserError, within ten seconds, if nothing can be read from here."""

    def objects(self, prefix: str) -> Iterator[StoredObject]:
        """All objects whose keys begin with ``prefix``, in the order of their keys."""

    def names(self, prefix: str) -> list[str]:
        """What comes next in the keys that begin with ``prefix``, up to a ``/`` or the end."""

    def find(self, key: str) -> StoredObject:
        """The object of ``key`` as it is now."""

    def read(self, found: StoredObject, begin: int) -> Iterator[bytes]:
        """The object's bytes from ``begin`` on.

        :raises Interruption: if they end too early.
        :raises Changed: if it was replaced since it was found.
        """

    def flaw(self, path: Path, found: StoredObject) -> str | None:
        """What tells the content of ``path`` from the object's, in words; None if nothing that the store knows does."""


class DirectoryStore:
    """A plain directory that is laid out like the bucket. It has no ETags: sizes alone are compared."""

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        self.name = str(directory)

    def check(self) -> None:
        """Raise a UserError if there is no such directory."""
        if not self.directory.is_dir():
            raise UserError(f"{self.name}: no such directory. --mirror names one that holds funke/, as the bucket does")

    def objects(self, prefix: str) -> Iterator[StoredObject]:
        """All files whose paths begin with ``prefix``, in order."""
        for directory, inner, names in os.walk(self.directory / prefix.rpartition("/")[0], onerror=_refuse):
            inner.sort()
            for name in sorted(names):
                path = Path(directory, name)
                key = path.relative_to(self.directory).as_posix()
                if key.startswith(prefix):
                    yield StoredObject(key, path.stat().st_size, None)

    def names(self, prefix: str) -> list[str]:
        """What comes next in the paths that begin with ``prefix``."""
        parent, _, begin = prefix.rpartition("/")
        root = self.directory / parent
        return sorted(path.name for path in root.iterdir() if path.name.startswith(begin)) if root.is_dir() else []

    def find(self, key: str) -> StoredObject:
        """The file of ``key`` as it is now."""
        return StoredObject(key, (self.directory / key).stat().st_size, None)

    def read(self, found: StoredObject, begin: int) -> Iterator[bytes]:
        """The file's bytes; raises Changed if it has another size now."""
        with (self.directory / found.key).open("rb") as file:
            if os.fstat(file.fileno()).st_size != found.size:
                raise Changed
            file.seek(begin)
            while chunk := file.read(CHUNK):
                yield chunk

    def flaw(self, path: Path, found: StoredObject) -> str | None:
        """Nothing is known of the content."""
        return None


def _refuse(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):  # a prefix that is not there has no objects
        raise error
