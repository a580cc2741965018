"""Where logs go: warnings to the terminal, and what INFO says to the file of a run."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PACKAGE = "lsd_experiments"
FORMAT = "%(asctime)s %(levelname)s:%(name)s:%(message)s"


def log_to_terminal(debug: bool) -> None:
    """Show warnings on the error stream; with ``debug`` all that this package says."""
    # Only our own detail: numba alone logs thousands of lines for each function that it compiles.
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s:%(name)s:%(message)s")
    if debug:
        logging.getLogger(PACKAGE).setLevel(logging.DEBUG)
        return
    for handler in logging.root.handlers:
        if type(handler) is logging.StreamHandler:
            handler.addFilter(lambda record: record.levelno >= logging.WARNING)  # tqdm takes filters over, and no level


@contextmanager
def log_to_file(path: Path) -> Iterator[None]:
    """While open, what this package says at INFO is appended to ``path``, whose directory is there."""
    handler, logger = _FileHandler(path, delay=True), logging.getLogger(PACKAGE)
    handler.setFormatter(logging.Formatter(FORMAT))
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(min(logger.getEffectiveLevel(), logging.INFO))
    try:
        yield
    finally:
        logger.setLevel(before)
        logger.removeHandler(handler)
        handler.close()


class _FileHandler(logging.FileHandler):
    """That a disk is full, or a directory gone, is told by what writes results, and not by this."""

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError):
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:
        pass
