"""Import the large frameworks without their noise, and without what nobody uses.

TensorFlow writes to the error stream while it is imported, before it reads its own settings. gunpowder imports TensorFlow,
PyTorch and JAX for nodes that are not used here, which takes longer than all else that a command does at its start.
Commands call these functions before they import what needs a framework; where nobody did, a plain import works too.
"""

import contextlib
import importlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

UNUSED_BY_GUNPOWDER = ("tensorflow", "torch", "jax")


def import_keras() -> None:
    """Import Keras and its backend, in silence unless that fails or the package logs in detail (``--debug``).

    From here on the process keeps the memory that it frees: who imports Keras so trains or predicts.
    """
    from lsd_experiments.pages import keep_freed_pages

    keep_freed_pages()
    _import_silently("keras")


def import_tensorflow() -> Any:
    """TensorFlow, imported in the same silence; also where another backend computes, as it reads its own checkpoints."""
    return _import_silently("tensorflow")


def import_gunpowder() -> None:
    """Import gunpowder, which then takes TensorFlow, PyTorch and JAX for not installed."""
    if "gunpowder" in sys.modules:
        return
    with hidden(*UNUSED_BY_GUNPOWDER):
        importlib.import_module("gunpowder")


def _import_silently(name: str) -> Any:
    if name not in sys.modules:
        if not logging.getLogger("lsd_experiments").isEnabledFor(logging.DEBUG):
            # Errors of TensorFlow arrive as exceptions; what it logs on machines without a GPU is none.
            os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        with silence():
            importlib.import_module(name)
    return sys.modules[name]


@contextlib.contextmanager
def hidden(*names: str) -> Iterator[None]:
    """Let those of the modules ``names`` that are not imported yet look as if they were not installed."""
    absent = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # None: "is not there"
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Keep what this process writes to its error stream, and show it only if an exception ends the block."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as kept:
        shown = os.dup(2)
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except BaseException:
            sys.stderr.flush()
            kept.seek(0)
            os.write(shown, kept.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(shown, 2)
            os.close(shown)
