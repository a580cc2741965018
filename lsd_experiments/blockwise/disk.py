"""Full disks: found in what an exception says, and named."""

import errno
import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

FULL = {errno.ENOSPC: "no space left", errno.EDQUOT: "the quota is used up"}


def full_disk(error: BaseException, places: Iterable[str | Path]) -> str | None:
    """The line for the user if ``error``, or what it came from, is a full disk; None if it is something else.

    :param places: where this process writes; the one with the least space is named if the error names none
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in FULL:
            return _line(str(cause.filename) if cause.filename else _fullest(places), FULL[cause.errno])
        if isinstance(cause, sqlite3.Error) and cause.sqlite_errorname == "SQLITE_FULL":
            return _line(_fullest(places), "no space left for the database")
        if getattr(cause, "sqlstate", None) == "53100" or getattr(cause, "pgcode", None) == "53100":
            return _line("the database server", "no space left")
        cause = cause.__cause__ or cause.__context__
    return None


def has_space(place: Path, size: int = 1 << 16) -> bool:
    """Whether ``size`` bytes can be written there."""
    return shutil.disk_usage(place).free >= size


def paths_in(values: Any) -> Iterator[str]:
    """The absolute paths in settings (JSON values)."""
    if isinstance(values, str) and values.startswith("/"):
        yield values
    elif isinstance(values, dict | list | tuple):
        for value in values.values() if isinstance(values, dict) else values:
            yield from paths_in(value)


def _line(place: str, what: str) -> str:
    return f"{place}: {what}. Make room there, and run this again: finished blocks are kept"


def _fullest(places: Iterable[str | Path]) -> str:
    existing = [next(parent for parent in (Path(place), *Path(place).parents) if parent.exists()) for place in places]
    return str(min(existing, key=lambda place: shutil.disk_usage(place).free))
