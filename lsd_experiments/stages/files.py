"""Files that a stage writes as a whole."""

import json
import os
import time
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays.written import FRESH
from lsd_experiments.errors import UserError
from lsd_experiments.provenance import now
from lsd_experiments.stages.states import FOREIGN, State, state_of
from lsd_experiments.writing import put_text

PART = 2**20  # bytes that are read at a time


@dataclass(frozen=True)
class FilesArtifact:
    """Files, and ``about``, the JSON file that says what made them.

    :param files: the files that go with a provenance, besides ``about``
    :param part: of an ``about`` that holds results, too, and is written with the others when all is done: the key of its
        provenance. Without, it is written before the first file, and again when the last one is there
    :param lacks: what else is not there of what goes with a provenance, in words
    """

    about: Path
    files: Callable[[Mapping[str, Any]], Iterable[Path]]
    part: str = ""
    lacks: Callable[[Mapping[str, Any]], str] = lambda made: ""
    bytes = 0  # is not known beforehand

    @property
    def name(self) -> str:
        """What messages call it."""
        return str(self.about)

    def stored(self) -> dict[str, Any]:
        """The provenance of what there is of the files."""
        found = self._said() if self.about.exists() else None
        return found if isinstance(found, dict) else {}

    def state(self, made: Mapping[str, Any]) -> State:
        """What there is of the files.

        :raises UserError: if there are some that do not say what made them
        """
        files = list(self.files(made))
        missing = [path for path in files if not path.exists()]
        if not self.about.exists():
            if not self.part and len(missing) < len(files):
                path = next(path for path in files if path.exists())
                raise UserError(f"{path} exists, and no {self.about.name} says what made it. {FOREIGN}")
            return State("new")
        said = self._said()
        state = state_of(self.name, said, bool(self.part) or "finished" in said, made)
        if state.kind != "done":
            return state
        if missing:
            return State("begun", f"{missing[0]} is missing" + (f", and {len(missing) - 1} more" if len(missing) > 1 else ""))
        changed = next((f"{path} is not as it was written" for path in files if not self.is_as_written(path)), "")
        reason = changed or self.lacks(made)
        return State("begun", reason) if reason else state

    def prepare(self, made: dict[str, Any], anew: bool) -> None:
        """Remove the files that ``about`` tells of, which does not call them finished any more before they go."""
        if self.part:
            return
        before = self.stored()
        if before:
            write_json(self.about, {key: value for key, value in before.items() if key != "finished"})
            self._sums.unlink(missing_ok=True)
            for path in self.files(before):
                path.unlink(missing_ok=True)
        write_json(self.about, made)

    def missing_blocks(self, done: NDArray[np.int64]) -> dict[str, list[int]]:
        """None: no block writes files."""
        return {}

    def finish(self) -> None:
        """Note that all files are there, with their checksums."""
        if not self.part:
            made = self.stored()
            write_json(self._sums, {path.name: file_state(path) for path in self.files(made)})
            write_json(self.about, {**made, "finished": now()})

    def report(self) -> str:
        """Where they are."""
        return self.name

    def is_as_written(self, path: Path) -> bool:
        """Whether ``path`` is what was written there, as far as that is known."""
        known = read_json(self._sums).get(path.name) if not self.part and self._sums.exists() else None
        return known is None or same_file(path, known)

    def _said(self) -> Any:
        said = read_json(self.about)
        return said.get(self.part) if self.part else said

    @property
    def _sums(self) -> Path:
        return self.about.parent / ".blockwise" / self.about.name


def file_state(path: Path) -> list[int]:
    """What tells the file ``path`` from others: CRC-32 of its bytes, its size, and when it changed (ns since 1970)."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        crc = 0
        while part := file.read(PART):
            crc = zlib.crc32(part, crc)
        stat = os.fstat(file.fileno())
    return [crc, stat.st_size, 0 if stat.st_ctime_ns > time.time_ns() - FRESH else stat.st_ctime_ns]


def same_file(path: Path, known: Sequence[int]) -> bool:
    """Whether ``path`` is what :func:`file_state` said ``known`` of, then or of a copy; it is read only if its time differs."""
    stat = path.stat()
    return stat.st_size == known[1] and (stat.st_ctime_ns == known[2] or file_state(path)[0] == known[0])


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write ``values``, beside the place and then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{path.name}.*.partial"):  # of a process that was killed
        left.unlink(missing_ok=True)
    put_text(path, json.dumps(values, indent=1) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """What :func:`write_json` wrote.

    :raises UserError: if it is something else
    """
    try:
        values = json.loads(path.read_text())
    except ValueError as error:
        raise UserError(f"{path}: no valid JSON ({error}). Pass --overwrite to make it anew") from error
    if not isinstance(values, dict):
        raise UserError(f"{path}: not what this software writes there. Pass --overwrite to make it anew")
    return values
