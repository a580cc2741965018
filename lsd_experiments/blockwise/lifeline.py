"""The line from a worker to its run: it tells what the server must know, and ends the worker when it breaks.

The line is a TCP connection besides daisy's. It closes when the server ends, however that happens; then the worker
ends within a second, also in the middle of a block. A host that vanished closes nothing: keepalive finds out.

The process that daisy starts for a worker, its slot, has a line too, from its first moment on. It is on the server's
machine, so that the server sees at once when it dies, and with it the worker, wherever that is.

Messages are lines of JSON. First the ``token``, ``worker`` (its number), daisy's ``port``, and a slot's ``log`` and how long
that is; the server answers ``{}``, or hangs up. Later, from a slot, ``{"bye": true}``, and from a worker

    {"ready": true}                            the factory is done
    {"begins": block, "thread": n, "asks": b}  if it asks, answered by {"thread": n, "alone": whether the block was in work
                                               as a worker died}
    {"failed": block, "thread": n}             answered by {"thread": n} when the worker may take blocks again; with
                                               "nobody": true if no other worker was there to take this one
    {"refused": block, "thread": n, "why": line}   the block raised a UserError
    {"worked": true}                           a first block is done
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
from typing import Any, NoReturn

ADDRESS, TOKEN, RELAY = "LSD_LIFELINE", "LSD_LIFELINE_TOKEN", "LSD_RELAY"  # environment variables of workers
SILENCE = "LSD_LIFELINE_SILENCE"  # seconds without an answer after which a host counts as gone
PATIENCE = 30.0  # seconds in which a host that is not reachable may come back
UNREACHABLE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN, errno.ETIMEDOUT)


def silence() -> float:
    """Seconds without an answer after which a host counts as gone."""
    return float(os.environ.get(SILENCE, "20"))


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


class Lifeline:
    """The worker's end.

    :param hello: what it says first, besides the token
    :raises ConnectionError: if the server is not there, or knows nothing of this worker
    """

    def __init__(self, **hello: Any) -> None:
        self._lock = threading.Lock()
        self._worked = False
        self._answered: defaultdict[int, queue.SimpleQueue[dict[str, Any]]] = defaultdict(queue.SimpleQueue)
        address = os.environ[ADDRESS]
        self._connection = _connect(address)
        keep_alive(self._connection)
        self._answers = self._connection.makefile("r")
        self.say(token=os.environ[TOKEN], **hello)
        if not self._answers.readline():
            raise ConnectionError(f"the scheduler at {address} knows nothing of this worker")
        threading.Thread(target=self._watch, daemon=True).start()

    def say(self, **message: Any) -> None:
        """Send ``message``."""
        with self._lock:
            self._connection.sendall(json.dumps(message).encode() + b"\n")

    def answer(self, thread: int) -> dict[str, Any]:
        """Wait for the next answer to ``thread``; if the run ends meanwhile, this process does."""
        with self._lock:
            answers = self._answered[thread]
        return answers.get()

    def hand_over(self) -> int:
        """The file descriptor of the line, for the program that this process becomes."""
        self._connection.set_inheritable(True)
        return self._connection.fileno()

    def worked(self) -> None:
        """Tell that this worker did a block; it is said once."""
        if not self._worked:
            self._worked = True
            self.say(worked=True)

    def stop(self, why: str) -> NoReturn:
        """End the run, whose message is ``why``; does not return."""
        try:
            self.say(stop=why)
            print(why, file=sys.stderr, flush=True)
            time.sleep(60)  # the line breaks before
        finally:
            os._exit(1)

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
