"""What was found out about a stack so far, so that an alignment that was interrupted goes on where it was.

A file of JSON lines beside the aligned volumes: first what it belongs to, then one pair of a name and a value for each thing that
took long: how a section looks, how two lie beside each other. A last line that is cut off is not counted.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

NAME = ".alignment.notes.jsonl"


class Notes:
    """Those in ``path`` that belong to ``key``; others are thrown away. Without a path, nothing is kept."""

    def __init__(self, path: Path | None = None, key: str = "") -> None:
        self._path, self._found = path, dict[str, Any]()
        if path is None:
            return
        whole = [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")] if path.exists() else []
        lines = [json.loads(line) for line in whole]
        if lines and lines[0] == {"key": key}:
            self._found = dict(lines[1:])
            path.write_text("".join(whole))
        else:
            path.write_text(json.dumps({"key": key}) + "\n")

    def get(self, name: str, make: Callable[[], Any]) -> Any:
        """The value of ``name``, JSON values, which ``make`` gives if it is not there."""
        if name not in self._found:
            self._found[name] = make()
            if self._path is not None:
                with self._path.open("a") as file:
                    file.write(json.dumps([name, self._found[name]]) + "\n")
        return self._found[name]

    def remove(self) -> None:
        """The alignment is there."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
