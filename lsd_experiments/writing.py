"""Whether a place can be written, asked before work is done for it."""

import errno
import os
import tempfile
from pathlib import Path


def check_writable(directory: Path) -> None:
    """Raise the OSError that writing to ``directory``, which need not exist, would end in; leaves nothing behind.

    Its file name is that of the nearest directory that exists.
    """
    existing = next(path for path in (directory, *directory.parents) if path.exists())
    if not existing.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(existing))
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(existing)) from error
