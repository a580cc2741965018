"""Processes that go on with what this one has imported: forks of the server of a run, and of who starts it.

A new interpreter takes half a second until it can do anything, and a stage's libraries as long again. Who forks here has no
thread that matters to the child, and has not run what starts some: no network, no TensorFlow. Those of OpenBLAS, which come with
NumPy, it ends before each fork.
"""

import asyncio
import atexit
import contextlib
import gc
import os
import random
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np


class Fork:
    """A child of this process, as :class:`subprocess.Popen` has it.

    :param run: what it does; its end, and what that raises, are those of the process
    :param name: what ``top`` calls it
    :param streams: descriptors of its standard output and error; its input is empty
    :param keep: its only descriptors besides the standard ones
    """

    def __init__(self, run: Callable[[], object], name: str, streams: tuple[int, int], keep: Collection[int]) -> None:
        self._status: int | None = None
        sys.stdout.flush()
        sys.stderr.flush()
        with warnings.catch_warnings(action="ignore"):  # of threads: see above
            self.pid = os.fork()
        if not self.pid:
            _begin(run, name, streams, keep)

    def poll(self) -> int | None:
        """The status that it ended with, -N by signal N; None while it is there."""
        return self._wait(os.WNOHANG)

    def wait(self) -> int | None:
        """The same, at its end."""
        return self._wait(0)

    def _wait(self, how: int) -> int | None:
        if self._status is None:
            pid, status = os.waitpid(self.pid, how)
            self._status = os.waitstatus_to_exitcode(status) if pid else None
        return self._status


def open_descriptors() -> set[int]:
    """Those of this process."""
    found = (int(entry.name) for entry in list(Path("/proc/self/fd").iterdir()))
    return {number for number in found if _is_open(number)}


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:  # that by which they were listed
        return False
    return True


def _begin(run: Callable[[], object], name: str, streams: tuple[int, int], keep: Collection[int]) -> None:
    """Be a process of its own; does not return: what is finalized of the parent's closes descriptors."""
    status = 1
    try:
        gc.freeze()
        asyncio._set_running_loop(None)
        asyncio.set_event_loop_policy(None)  # which has the parent's loop, too
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _take_streams(streams)
        for number in open_descriptors() - {0, 1, 2, *keep}:
            os.close(number)
        with contextlib.suppress(OSError):
            Path("/proc/self/comm").write_text(name)
        random.seed()
        np.random.seed()  # noqa: NPY002  (of whoever uses it, not to be that of all workers)
        run()
        status = 0
    except SystemExit as ended:
        status = _status(ended)
    except BaseException:
        traceback.print_exc()
    finally:
        _end(status)


def _take_streams(streams: tuple[int, int]) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, descriptor in enumerate((nothing, *streams)):
        os.dup2(descriptor, number)


def _status(ended: SystemExit) -> int:
    if ended.code is None or isinstance(ended.code, int):
        return (ended.code or 0) & 0xFF
    print(ended.code, file=sys.stderr)
    return 1


def _end(status: int) -> None:
    """End as an interpreter does: when other threads have, after what is to be done at exit."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]  # what an interpreter calls at its end, to wait for threads: not public
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)
