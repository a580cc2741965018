"""Whether a place can be written, asked before work is done for it; and files that are there as a whole or not at all."""

import errno
import json
import os
import socket
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any


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


def put_text(path: Path, text: str) -> None:
    """Write a file that others read, whole or not at all; any number of threads, processes and machines may.

    It is on the disk when this returns.
    """
    put_bytes(path, text.encode())


def put_json(path: Path, values: Mapping[str, Any]) -> None:
    """``values`` as JSON, see :func:`put_text`; its directory is made if it is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    put_text(path, json.dumps(values, indent=1) + "\n")


def put_bytes(path: Path, data: bytes) -> None:
    """See :func:`put_text`."""
    part = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}.{threading.get_ident()}.partial")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        part.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """See to it that the file ``path`` is on the disk, and so is its name."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """See to it that the names in ``directory`` are on the disk."""
    file = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(file)
    except OSError as error:  # some file systems have no such thing
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(file)
