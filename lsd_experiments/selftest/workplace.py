"""The temporary directory that the self-test works in, and an environment that keeps its commands from writing elsewhere."""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lsd_experiments import scenario
from lsd_experiments.errors import UserError
from lsd_experiments.installation import PACKAGE, ROOT

NEEDED = 24 * 2**20  # bytes; three times what was measured
CACHES = {"KERAS_HOME": "keras", "MPLCONFIGDIR": "matplotlib", "CUDA_CACHE_PATH": "cuda", "XDG_CACHE_HOME": "cache"}


@contextmanager
def temporary_directory() -> Iterator[Path]:
    """A new directory in $TMPDIR, or else /tmp, which is removed at the end.

    :raises UserError: if none can be made, or there is too little room in it
    """
    place = Path(os.environ.get("TMPDIR") or "/tmp")
    try:
        directory = Path(tempfile.mkdtemp(prefix="lsd-selftest-", dir=place)).resolve()
    except OSError as error:
        raise UserError(f"{place}: no temporary directory can be made there ({os.strerror(error.errno or 0).lower()}). Set "
                        "TMPDIR to a place that can be written") from error
    try:
        free = shutil.disk_usage(directory).free
        if free < NEEDED:
            raise UserError(f"{place}: {free / 2**20:.0f} MB are free, and the self-test needs {NEEDED / 2**20:.0f}. Make room "
                            "there, or set TMPDIR to another place")
        yield directory
    finally:
        _remove(directory)


def _remove(directory: Path, seconds: float = 10) -> None:
    """Remove ``directory``, in which processes that are ending may still write."""
    end = time.monotonic() + seconds
    while directory.exists():
        shutil.rmtree(directory, ignore_errors=True)
        if time.monotonic() > end:
            print(f"warning: {directory} could not be removed", file=sys.stderr)
            return
        time.sleep(0.05)


def environment(work: Path) -> dict[str, str]:
    """Of the commands: temporary files, and what they would keep in the user's home directory, go to ``work``.

    Places that an image or its user has chosen stay. numba keeps compiled functions beside the sources, like Python, for all
    later commands; where these are read-only, it would take the home directory, and without one fail.
    """
    caches = CACHES if os.access(ROOT / PACKAGE, os.W_OK) else {**CACHES, "NUMBA_CACHE_DIR": "numba"}
    chosen = {name: str(work / "caches" / directory) for name, directory in caches.items() if not os.environ.get(name)}
    return scenario.environment(TMPDIR=str(work), **chosen)
