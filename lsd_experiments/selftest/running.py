"""Run a command to its end, which Ctrl-C and SIGTERM bring on in an orderly way."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LINES = 15  # that are kept of what a failed command said
GRACE = 5.0  # seconds in which a command may end by itself
LIMIT = 600.0  # seconds after which a command hangs: ten times what all of them take


@contextmanager
def stop_requests() -> Iterator[Callable[[], None]]:
    """Gives what raises KeyboardInterrupt or SystemExit if a signal has asked for that; while open, only its calls do.

    Nothing is left behind by a signal that comes between making a directory or process and knowing of it.
    """
    received: list[int] = []

    def remember(number: int, frame: FrameType | None) -> None:
        received.append(number)

    def check() -> None:
        if received and received[0] == signal.SIGINT:
            raise KeyboardInterrupt
        if received:
            raise SystemExit(128 + received[0])

    heard = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]  # as nohup has SIGHUP
    before = {number: signal.signal(number, remember) for number in heard}
    try:
        yield check
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass(frozen=True)
class Ended:
    """How a command ended: what it said on both streams, and what is wrong, or None."""

    said: str
    problem: str | None

    @property
    def last_lines(self) -> list[str]:
        """The last lines of what it said, as a terminal would show them."""
        lines = (line.rstrip().rpartition("\r")[2] for line in self.said.split("\n"))
        return [line for line in lines if line][-LINES:]


@dataclass(frozen=True)
class Runner:
    """Runs commands. ``check``: raises if this process shall end. ``shows``: whether what they say is shown as they go."""

    check: Callable[[], None]
    shows: bool = False

    def run(self, command: Sequence[str], directory: Path, environment: Mapping[str, str], limit: float = LIMIT) -> Ended:
        """Run ``command`` in ``directory``, at most for ``limit`` seconds."""
        end = time.monotonic() + limit
        # In a session of its own: Ctrl-C in a terminal reaches this process alone, which then ends the command.
        process = subprocess.Popen(command, cwd=directory, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, start_new_session=True)
        said: list[bytes] = []
        reader = threading.Thread(target=self._read, args=(process, said), daemon=True)
        reader.start()
        try:
            while not _is_over(process):
                self.check()
                if time.monotonic() > end:
                    return Ended(_text(said), f"has not ended after {limit:.0f} s")
        finally:
            _end(process)
        reader.join(GRACE)  # a process that it left may hold the pipe
        status = process.returncode
        ended = f"ended with status {status}" if status > 0 else f"was ended by signal {-status}"
        return Ended(_text(said), ended if status else None)

    def _read(self, process: subprocess.Popen[bytes], said: list[bytes]) -> None:
        assert process.stdout is not None
        while chunk := os.read(process.stdout.fileno(), 65536):
            said.append(chunk)
            if self.shows:
                sys.stderr.buffer.write(chunk)
                sys.stderr.buffer.flush()


def _is_over(process: subprocess.Popen[bytes]) -> bool:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(0.1)
    return process.returncode is not None


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process that is not over; on SIGTERM, the commands of this package end what they started."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _text(said: Sequence[bytes]) -> str:
    return b"".join(said).decode(errors="replace")
