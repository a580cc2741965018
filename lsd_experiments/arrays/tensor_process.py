"""tensorstore, in a process of its own.

tensorstore ends every process that is forked off one that uses it ("fork() use detected"), also one that never reads. Workers of
a training are forked, and have their pipeline from that. So no process of ours imports it: each that reads
or writes has a reader of its own, started when the first array is opened, and ended with it. A decoder that crashes on foreign
bytes is an error here, not our end::

    training ---- pipes ---- reader
      | fork
    worker ------ pipes ---- reader      not that of the training, whose pipes it closes
"""

import atexit
import contextlib
import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SCRIPT = Path(__file__).with_name("tensor_reader.py")
# Seconds: to connect, and for which a server may send nothing.
LIMITS = {"TENSORSTORE_CURL_CONNECT_TIMEOUT_SECONDS": "4", "TENSORSTORE_CURL_LOW_SPEED_TIME_SECONDS": "6",
          "TENSORSTORE_CURL_LOW_SPEED_LIMIT_BYTES": "1"}
STATUS = re.compile(r"(?:HTTP code |http_response_code=')(\d{3})")
BROKEN = re.compile(r"CURL error|DEADLINE_EXCEEDED|UNAVAILABLE|ABORTED")


class ReadError(Exception):
    """What tensorstore says went wrong; ``response`` holds the HTTP status as botocore's errors do, if there was an answer."""

    def __init__(self, text: str) -> None:
        super().__init__(_first(text))
        status = STATUS.search(text)
        self.status = int(status[1]) if status else None
        self.response = {"ResponseMetadata": {"HTTPStatusCode": self.status}} if status else {}


class BrokenConnection(ReadError, ConnectionError):
    """A connection that was not made, or broke, or brought nothing."""


class ReaderDied(ReadError):
    """The reader ended in the middle of a request."""


def read_error(text: str) -> ReadError:
    """The error of tensorstore's ``text``."""
    return BrokenConnection(text) if BROKEN.search(text) and not STATUS.search(text) else ReadError(text)


def _first(text: str) -> str:
    """``text`` in a line, without tensorstore's codes and the description of what was opened."""
    text = " ".join(re.sub(r" *\[(tensorstore_spec|source locations)=.*", "", text, flags=re.S).split())
    return re.sub(r"^[A-Z_]+: |All \d+ retry attempts failed: | \[(HTTP code \d+|curl_code='\d+')\]", "", text)[:400]


class Process:
    """The reader of this process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.child: subprocess.Popen[bytes] | None = None

    def ask(self, request: dict[str, Any], content: memoryview | None = None) -> tuple[Any, list[NDArray[np.uint8]]]:
        """What the reader says to ``request`` (see :mod:`tensor_reader`), and the bytes that come with it.

        :param content: bytes that go with the request
        :raises ReadError: if it fails, or dies
        """
        with self.lock:
            child = self._running()
            try:
                return self._exchange(child, request, content)
            except ReadError:
                raise
            except (EOFError, OSError, ValueError) as error:
                self._end()
                raise ReaderDied(f"tensorstore ended ({_end_of(child)})") from error
            except BaseException:  # such as Ctrl-C: the answer that is under way belongs to nobody
                self._end()
                raise

    def _exchange(self, child: subprocess.Popen[bytes], request: dict[str, Any],
                  content: memoryview | None) -> tuple[Any, list[NDArray[np.uint8]]]:
        assert child.stdin is not None
        assert child.stdout is not None
        head = request if content is None else {**request, "size": content.nbytes}
        for left in (memoryview(json.dumps(head).encode() + b"\n"), content):
            while left:
                left = left[child.stdin.write(left):]
        length = int.from_bytes(_read(child.stdout, 8), "big")
        said = json.loads(bytes(_read(child.stdout, length)))
        if "error" in said:
            raise read_error(said["error"])
        return said["ok"], [_read(child.stdout, size) for size in said["sizes"]]

    def _running(self) -> subprocess.Popen[bytes]:
        if self.child is None or self.child.poll() is not None:
            self._end()
            command = [sys.executable, "-P", str(SCRIPT)]  # -P: our modules are not to be found as others' by their names
            # Without buffers: a process that is forked while a thread reads would wait for their locks.
            self.child = subprocess.Popen(command, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                          stderr=subprocess.DEVNULL, env={**LIMITS, **os.environ})
        return self.child

    def _end(self) -> None:
        if self.child is not None:
            self.child.kill()
            self.child.wait()
            self.close()

    def close(self) -> None:
        """Forget the reader; it ends, unless another process holds its pipes."""
        if self.child is not None:
            for pipe in (self.child.stdin, self.child.stdout):
                with contextlib.suppress(OSError):
                    pipe.close()  # type: ignore[union-attr]
            self.child = None

    def stop(self) -> None:
        """End the reader; the next request starts another, with the environment that is then."""
        with self.lock:
            self._end()


def _read(pipe: Any, size: int) -> NDArray[np.uint8]:
    content = np.empty(size, np.uint8)
    left = content.data
    while left:
        count = pipe.readinto(left)
        if not count:
            raise EOFError
        left = left[count:]
    return content


def _end_of(child: subprocess.Popen[bytes]) -> str:
    code = child.poll()
    return "it does not start: is tensorstore installed?" if code == 1 else f"status {code}"


PROCESS = Process()


def _forget() -> None:
    """In a forked process: its parent's reader is not its own, nor is a lock that a thread of the parent held."""
    if PROCESS.child is not None:
        PROCESS.child.returncode = 0  # no child of this process
    PROCESS.close()
    PROCESS.lock = threading.Lock()


os.register_at_fork(after_in_child=_forget)
atexit.register(PROCESS.stop)
