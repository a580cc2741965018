"""The record of what was fetched: ``.fetched.jsonl``, a line per file, in the directory that holds the files.

Where the lines have the files' SHA-256, ``SHA256SUMS`` says them as ``sha256sum --check`` reads them.
"""

import json
import threading
from pathlib import Path

from lsd_experiments.fetching.stores import StoredObject
from lsd_experiments.writing import put_text

NAME = ".fetched.jsonl"
SUMS = "SHA256SUMS"


class Record:
    """The record in ``directory``, which need not be there yet. It is only ever appended to; the last line of a path counts.

    A line that a kill cut off is not one: its file counts as not fetched.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / NAME
        text = self.path.read_text() if self.path.is_file() else ""
        lines = [*filter(None, map(_entry, text.splitlines()))]
        self.entries = {path: (size, etag) for path, size, etag, _ in lines}
        self.sums = {path: sum for path, _, _, sum in lines}
        self._cut_off = bool(text) and not text.endswith("\n")
        self._lock = threading.Lock()

    def __contains__(self, path: str) -> bool:
        return path in self.entries

    def agrees(self, path: str, found: StoredObject) -> bool:
        """Whether ``path`` is recorded as this object: equal size, and equal ETags where both are known."""
        size, etag = self.entries.get(path, (None, None))
        return size == found.size and (etag == found.etag or None in (etag, found.etag))

    def add(self, path: str, found: StoredObject, sha256: str | None = None) -> None:
        """Record that ``path`` is this object; threads may."""
        values = {"path": path, "size": found.size, "etag": found.etag}
        line = json.dumps(values | ({"sha256": sha256} if sha256 else {})) + "\n"
        with self._lock, self.path.open("a") as file:
            file.write("\n" + line if self._cut_off else line)
            self._cut_off = False
            self.entries[path] = (found.size, found.etag)
            self.sums[path] = sha256


def put_sums(directory: Path) -> None:
    """Write ``SHA256SUMS`` from the record in ``directory``, unless it says the same already."""
    sums = sorted((path, sha256) for path, sha256 in Record(directory).sums.items() if sha256)
    text = "".join(f"{sha256}  {path}\n" for path, sha256 in sums)
    there = directory / SUMS
    if text and not (there.is_file() and there.read_text() == text):
        put_text(there, text)


def _entry(line: str) -> tuple[str, int, str | None, str | None] | None:
    try:
        values = json.loads(line)
        return values["path"], values["size"], values["etag"], values.get("sha256")
    except (ValueError, KeyError, TypeError):
        return None
