"""One process at a time for a piece of work.

The lock is the system's, on an empty file: it goes with the process that holds it, however that ends, and the file that
stays behind says nothing.
"""

import errno
import fcntl
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from lsd_experiments.errors import UserError

logger = logging.getLogger(__name__)

PATIENCE = 1.0  # seconds: is_held() takes the lock for a moment, and who holds it for a killed run needs some to end
NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}  # of file systems without them: NFS, Lustre as it may be mounted


@contextmanager
def only_run(place: Path, lock: Path | None = None, work: str = "another run is at work on these blocks") -> Iterator[IO[str]]:
    """While open, no other process (nor thread) gets in here with the same ``lock``.

    :param place: what the work is done on, for the message
    :param lock: the file (default: ``<place>.lock``, beside it)
    :param work: what the other one is said to do
    :returns: the open file; a process that gets it holds the lock, too, for as long as it lives
    :raises UserError: if another one is in here, and still is a second later
    """
    path = lock or place.with_name(f"{place.name}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:  # closed when a process starts another program, kept when it forks
        try:
            _take(file)
        except BlockingIOError as error:
            raise UserError(f"{place}: {work}. Wait for it, or stop it first") from error
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            logger.warning("%s: the file system has no locks. See to it that only one run works on it at a time", path)
        yield file


def _take(file: IO[str]) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise
        time.sleep(0.02)


def is_held(place: Path) -> bool:
    """Whether a process is in :func:`only_run` on ``place``; False where the file system has no locks."""
    try:
        with place.with_name(f"{place.name}.lock").open("r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
