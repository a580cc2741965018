"""``python -m lsd_experiments.blockwise.template PARENT``: forks the server of each run; it ends with the process PARENT.

A command with several stages so starts one interpreter for the servers and workers of all of them, which are its forks, and forks
of these. It has imported what they need, and no framework that starts threads; it computes nothing, and keeps no file open.
:mod:`~lsd_experiments.blockwise.templates` asks it over its standard input, a socket, by messages of a line, one answer each::

    {"spec": text, "environment": {...}, "imports": [...]}    with the descriptors of the standard output and error, of the lock,
                                                              and of the current directory; answered by the server's process id
    {}                                                        it was killed: answered when it is gone
"""

import importlib
import json
import os
import select
import signal
import socket
import sys
import time
from contextlib import suppress
from functools import partial
from typing import Any

from lsd_experiments.blockwise import server
from lsd_experiments.blockwise.forks import Fork, open_descriptors
from lsd_experiments.blockwise.spec import TaskSpec

IMPORTS = ("daisy.v2", "zarr")  # of servers and workers of all stages
DESCRIPTORS = 4  # of a request


def main() -> None:
    """Serve until nobody can ask any more."""
    parent, asked = int(sys.argv[1]), socket.socket(fileno=os.dup(0))
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # who ignores it, as what the command was started by may, waits for nobody
    _import(IMPORTS)
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):  # not the first run's log, whose disk may be taken away
        os.dup2(nothing, number)
    os.close(nothing)
    os.chdir("/")
    own = open_descriptors()
    while True:
        request, descriptors = _receive(asked, parent)
        run = _start(request, descriptors, own - {asked.fileno()})
        asked.sendall(b"%d\n" % run.pid)
        _receive(asked, parent)
        run.wait()
        asked.sendall(b"\n")


def _start(request: dict[str, Any], descriptors: list[int], own: set[int]) -> Fork:
    _import(request["imports"])
    out, err, lock, directory = descriptors
    serve = partial(_serve, request, directory, os.getpid(), own)
    try:
        run = Fork(serve, "lsd-server", (out, err), {*own, lock, directory})
    except OSError as error:  # no process to be had
        os.write(err, f"the scheduler cannot be started: {error}\n".encode())
        raise
    for number in descriptors:
        os.close(number)
    return run


def _serve(request: dict[str, Any], directory: int, parent: int, own: set[int]) -> None:
    """The life of a server."""
    os.setsid()
    os.fchdir(directory)
    os.close(directory)
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    server.serve(TaskSpec.from_json(request["spec"]), parent, own)


def _receive(asked: socket.socket, parent: int) -> tuple[dict[str, Any], list[int]]:
    """The next message; ends this process if there will be none."""
    text, descriptors, look = b"", [], select.poll()
    look.register(asked, select.POLLIN)
    while not text.endswith(b"\n"):
        while not look.poll(1000):
            _end_without(parent)
        more, found, _, _ = socket.recv_fds(asked, 1 << 16, DESCRIPTORS)
        if not more:
            os._exit(0)
        text += more
        descriptors += found
    _end_without(parent)
    message: dict[str, Any] = json.loads(text)
    return message, descriptors


def _end_without(parent: int) -> None:
    if os.getppid() != parent:
        os._exit(1)


def _import(names: list[str] | tuple[str, ...]) -> None:
    for name in names:
        with suppress(Exception):  # a worker that needs it says so
            importlib.import_module(name)


if __name__ == "__main__":
    main()
