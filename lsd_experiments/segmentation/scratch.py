"""A directory for what is needed while one works, and errors that name the file they are about."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lsd_experiments.locks import only_run


@contextmanager
def scratch_directory(path: Path, work: str) -> Iterator[Path]:
    """While open, ``path`` is an empty directory of this process; afterwards it is gone.

    What a killed process left there goes first. A lock beside it stays, an empty file.

    :param work: what another process that is in here is said to do
    :raises UserError: if another process is in here
    """
    with only_run(path, work=work):
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """While open, an OSError that names no file (a full disk does not) names ``path``."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
