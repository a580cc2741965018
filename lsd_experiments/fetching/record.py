"""The record of what was fetched: ``.fetched.jsonl``, a line per file, in the directory that holds the files."""

import json
import threading
from pathlib import Path

from lsd_experiments.fetching.stores import StoredObject

NAME = ".fetched.jsonl"


class Record:
    """The record in ``directory``, which need not be there yet. It is only ever appended to; the last line of a path counts.

    A line that a kill cut off is not one: its file counts as not fetched.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / NAME
        text = self.path.read_text() if self.path.is_file() else ""
        self.entries = dict(filter(None, map(_entry, text.splitlines())))
        self._cut_off = bool(text) and not text.endswith("\n")
        self._lock = threading.Lock()

    def __contains__(self, path: str) -> bool:
        return path in self.entries

    def agrees(self, path: str, found: StoredObject) -> bool:
        """Whether ``path`` is recorded as this object: equal size, and equal ETags where both are known."""
        size, etag = self.entries.get(path, (None, None))
        return size == found.size and (etag == found.etag or None in (etag, found.etag))

    def add(self, path: str, found: StoredObject) -> None:
        """Record that ``path`` is this object; threads may."""
        line = json.dumps({"path": path, "size": found.size, "etag": found.etag}) + "\n"
        with self._lock, self.path.open("a") as file:
            file.write("\n" + line if self._cut_off else line)
            self._cut_off = False
            self.entries[path] = (found.size, found.etag)


def _entry(line: str) -> tuple[str, tuple[int, str | None]] | None:
    try:
        values = json.loads(line)
        return values["path"], (values["size"], values["etag"])
    except (ValueError, KeyError, TypeError):
        return None
