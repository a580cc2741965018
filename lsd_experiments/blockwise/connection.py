"""A worker's line to its run: by it the worker gets its blocks and tells what became of them, and when it breaks, it ends.

The line is a TCP connection, the only one between the two. It closes when the server ends, however that happens; then the
worker ends within a second, also in the middle of a block. A host that vanished closes nothing: keepalive finds out. And a
worker that is stopped closes nothing and answers nothing: the server misses its sign of life, and hangs up.

Messages are lines of JSON. First the run's ``token``, and ``worker``, the name by which the server expects it; of a cluster's,
``job``. The server answers ``{}``, or hangs up: nothing is heard from who has no token. Later, from a worker,

    {"alive": true}                            every few seconds
    {"ready": true}                            the factory is done
    {"wants": true, "thread": n}               answered by {"thread": n, "block": number}, or null when none is left; and with
                                               more than one thread by {"thread": n, "alone": whether the block was in work
                                               as a worker died}
    {"done": block, "thread": n}               counts if the block was given to this worker, and not yet taken back
    {"failed": block, "thread": n}             answered by {"thread": n} when the worker may take blocks again; with
                                               "nobody": true if no other worker was there to take this one
    {"refused": block, "thread": n, "why": line}   the block raised a UserError
    {"worked": true}                           if this worker dies now, the block in work is at fault
    {"stop": why}                              the run must end
"""

import errno
import json
import os
import queue
import socket
import sys
import threading
import time
from collections import defaultdict
from contextlib import suppress
from typing import Any, NoReturn

ADDRESS, TOKEN, NAME = "LSD_LIFELINE", "LSD_LIFELINE_TOKEN", "LSD_WORKER"  # environment variables of workers
SILENCE = "LSD_LIFELINE_SILENCE"  # seconds without an answer after which a host counts as gone
QUIET = "LSD_WORKER_SILENCE"  # seconds without a sign of life after which a worker counts as frozen
JOBS = ("SLURM_JOB_ID", "LSB_JOBID")  # environment variables by which a job knows its number
PATIENCE = 30.0  # seconds in which a host that is not reachable may come back
UNREACHABLE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN, errno.ETIMEDOUT)


def silence() -> float:
    """Seconds without an answer after which a host counts as gone."""
    return float(os.environ.get(SILENCE, "20"))


def quiet() -> float:
    """Seconds without a sign of life after which a worker counts as frozen.

    As long as compiled code that lets no other thread of Python run may take: the threads that give these signs are such.
    """
    return float(os.environ.get(QUIET, "600"))


def keep_alive(connection: socket.socket) -> None:
    """Have ``connection`` break when the other host is gone; small messages are sent at once."""
    every = max(1, round(silence() / 4))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, every)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, every)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(silence() * 1000))


def split_address(text: str) -> tuple[str, int]:
    """Host and port of ``host:port``."""
    host, _, port = text.rpartition(":")
    return host, int(port)


class Connection:
    """The worker's end.

    :raises ConnectionError: if the server is not there, or does not expect this worker
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answered: defaultdict[int, queue.SimpleQueue[dict[str, Any]]] = defaultdict(queue.SimpleQueue)
        address = os.environ[ADDRESS]
        self._connection = _connect(address)
        keep_alive(self._connection)
        self._answers = self._connection.makefile("r")
        self.say(token=os.environ[TOKEN], worker=os.environ.get(NAME, ""),
                 job=next((os.environ[name] for name in JOBS if name in os.environ), None))
        if not self._answers.readline():
            raise ConnectionError(f"the scheduler at {address} knows nothing of this worker")
        threading.Thread(target=self._watch, daemon=True).start()
        threading.Thread(target=self._live, daemon=True).start()

    def say(self, **message: Any) -> None:
        """Send ``message``."""
        with self._lock:
            self._connection.sendall(json.dumps(message).encode() + b"\n")

    def answer(self, thread: int) -> dict[str, Any]:
        """Wait for the next answer to ``thread``; if the run ends meanwhile, this process does."""
        with self._lock:
            answers = self._answered[thread]
        return answers.get()

    def stop(self, why: str) -> NoReturn:
        """End the run, whose message is ``why``; does not return."""
        try:
            self.say(stop=why)
            print(why, file=sys.stderr, flush=True)
            time.sleep(60)  # the line breaks before
        finally:
            os._exit(1)

    def _live(self) -> None:
        pause = min(5.0, quiet() / 10)
        with suppress(OSError):  # the run has ended, as the other thread sees
            while True:
                time.sleep(pause)
                self.say(alive=True)

    def _watch(self) -> None:
        try:
            while line := self._answers.readline():
                answer = json.loads(line)
                with self._lock:
                    answers = self._answered[answer["thread"]]
                answers.put(answer)
        except (OSError, ValueError):
            pass
        try:
            print("the run has ended, or is out of reach: this worker ends, too", file=sys.stderr, flush=True)
        finally:
            os._exit(1)


def _connect(address: str) -> socket.socket:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            connection = socket.create_connection(split_address(address), timeout=10)
        except OSError as error:
            out_of_reach = isinstance(error, TimeoutError) or error.errno in UNREACHABLE
            if not out_of_reach or time.monotonic() > end:  # one that refuses is there, and the run is not
                raise ConnectionError(f"no scheduler at {address} ({error}): the run has ended, or 'host' in [workers] is no "
                                      "address that this machine can reach") from error
            time.sleep(1)
        else:
            connection.settimeout(None)
            return connection
