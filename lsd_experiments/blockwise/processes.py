"""The processes on this machine that are workers, or start one and last as long as it does."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path
from typing import IO

from lsd_experiments.blockwise.connection import NAME
from lsd_experiments.blockwise.forks import Fork
from lsd_experiments.blockwise.listener import Line
from lsd_experiments.blockwise.spec import TaskSpec
from lsd_experiments.blockwise.start_worker import become_worker, is_forked

MODULE = "lsd_experiments.blockwise.start_worker"


class Slot:
    """One worker from its start on.

    :param keep: descriptors that a fork may have, too
    :ivar name: by which its line is known; no other worker of the run has it
    :ivar log: what it prints, from ``offset`` on
    :ivar line: its line, while there is one
    :ivar started: on the server's clock, as are
    :ivar heard: when it last said something
    :ivar lost: when its line closed
    :ivar stopped: since when its process does nothing
    :ivar blocks: in work: for each number, when it was given away, and to which thread
    :ivar told: whether it knows that no block is left
    :ivar ended: it ended, or was given up
    """

    def __init__(self, spec: TaskSpec, index: int, life: int, now: float, keep: Collection[int] = ()) -> None:
        self.name, self.started = f"{index}.{life}", now
        self.line: Line | None = None
        self.heard: float = now
        self.lost: float | None = None
        self.stopped: float | None = None
        self.blocks: dict[int, tuple[float, int]] = {}
        self.told = False
        self.ended = asyncio.Event()
        logs = Path(spec.records) / "logs" / spec.name
        logs.mkdir(parents=True, exist_ok=True)
        self.log = str(logs / f"worker_{index}.err")
        with open(self.log, "ab") as err, open(logs / f"worker_{index}.out", "ab") as out:  # noqa: PTH123
            self.offset = err.tell()
            self._process = self._fork(spec, out, err, keep) if is_forked(spec) else self._command(spec, index, out, err)
        self.pid = self._process.pid
        self._watch()

    def _fork(self, spec: TaskSpec, out: IO[bytes], err: IO[bytes], keep: Collection[int]) -> Fork:
        server = os.getpid()

        def run() -> None:
            os.environ[NAME] = self.name
            become_worker(spec, server)
        return Fork(run, "lsd-worker", (out.fileno(), err.fileno()), keep)

    def _command(self, spec: TaskSpec, index: int, out: IO[bytes], err: IO[bytes]) -> subprocess.Popen[bytes]:
        words = [sys.executable, "-m", MODULE, str(Path(spec.records) / "task.json"), str(os.getpid()), f"worker_{index}"]
        return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env={**os.environ, NAME: self.name})

    def note(self, line: str) -> None:
        """Append a line to its log."""
        with contextlib.suppress(OSError), open(self.log, "a") as log:  # noqa: PTH123
            log.write(line + "\n")

    def look(self) -> int | None:
        """The status that it ended with; None while it is there."""
        status = self._process.poll()
        if status is not None:
            self.ended.set()
        return status

    def kill(self) -> None:
        """End it, and all that it started; what waits for a device or a file system that is gone stays until that answers."""
        for pid in (*descendants(self.pid), self.pid):
            if pid != self.pid or self._process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):  # without, the next look finds out
            end = os.pidfd_open(self.pid)

            def ended() -> None:
                loop.remove_reader(end)
                os.close(end)
                self.look()
            loop.add_reader(end, ended)


def descendants(pid: int) -> list[int]:
    """The children of a process, theirs, and so on."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(word) for word in path.read_text().split()]
    return [each for child in found for each in (child, *descendants(child))]


def is_stopped(pid: int) -> bool:
    """Whether a process is stopped, by a signal or a debugger."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state in "Tt"
