"""The server of a run, as the command has it: a fork of its :mod:`~lsd_experiments.blockwise.template`."""

import atexit
import json
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, ClassVar

from lsd_experiments.blockwise.spec import TaskSpec

MODULE = "lsd_experiments.blockwise.template"
# Variables that an interpreter or what a template imports reads once: with another value of one, another template is needed.
READ_ONCE = ("BLIS_", "BLOSC_", "GLIBC_", "GOMP_", "GOTO_", "KMP_", "LANG", "LC_", "LD_", "LLVMLITE_", "MALLOC_", "MKL_", "NPY_",
             "NUMBA_", "NUMEXPR_", "NUMPY_", "OMP_", "OPENBLAS_", "PYTHON", "SCIPY_", "TZ", "ZARR_")
LIMITS = (resource.RLIMIT_AS, resource.RLIMIT_DATA, resource.RLIMIT_STACK, resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC,
          resource.RLIMIT_FSIZE, resource.RLIMIT_CORE, resource.RLIMIT_CPU)
PATIENCE = 10.0  # seconds in which a process that was killed is gone, and known to be


class Template:
    """A process that starts servers, one at a time; ends with this one.

    :param log: gets what it says as long as it imports
    """

    idle: ClassVar[list["Template"]] = []  # of the process

    def __init__(self, environment: Mapping[str, str], log: IO[str]) -> None:
        self._read_once, self.owner = _read_once(environment), os.getpid()
        self._asks, theirs = socket.socketpair()
        with theirs:
            words = [sys.executable, "-m", MODULE, str(self.owner)]
            self._process = subprocess.Popen(words, stdin=theirs.fileno(), stdout=log, stderr=log, env=dict(environment),
                                             start_new_session=True)
        self.pid = self._process.pid

    @classmethod
    def take(cls, environment: Mapping[str, str], log: IO[str]) -> "Template":
        """One that has nothing to do, begun as one would begin now; others end."""
        for template in [each for each in Template.idle if each.owner == os.getpid()]:  # those of its parent are not its own
            try:
                Template.idle.remove(template)
            except ValueError:  # another thread was quicker
                continue
            if template._process.poll() is None and template._read_once == _read_once(environment):
                return template
            template.end()
        return Template(environment, log)

    def ask(self, request: Mapping[str, Any], descriptors: Sequence[int] = (), patience: float | None = None) -> str | None:
        """Its answer; None if it is gone, or is silent for ``patience`` seconds."""
        message = json.dumps(request).encode() + b"\n"
        self._asks.settimeout(patience)
        with suppress(OSError):
            sent = socket.send_fds(self._asks, [message], descriptors)
            self._asks.sendall(message[sent:])
            answer = b""
            while not answer.endswith(b"\n"):
                more = self._asks.recv(100)
                if not more:
                    return None
                answer += more
            return answer.decode().strip()
        return None

    def end(self) -> None:
        """Have it end; who it forked ends, too."""
        self._asks.close()
        self._process.kill()
        self._process.wait()


class RunningServer:
    """The server of one run, from its start to :meth:`end`.

    :param imports: modules that its workers need: forked ones share them
    :param log: what it says
    :param lock: it holds that, too
    """

    def __init__(self, spec: TaskSpec, environment: Mapping[str, str], imports: Sequence[str], log: IO[str],
                 lock: IO[str]) -> None:
        self._template, self._pid = Template.take(environment, log), 0
        reading, writing = os.pipe()
        self._states = open(reading)  # noqa: PTH123, SIM115  (a descriptor; closed by end())
        directory = os.open(".", os.O_PATH)  # which may be one that this user can enter, but not list
        try:
            request = {"spec": spec.to_json(), "environment": dict(environment), "imports": list(imports)}
            answer = self._template.ask(request, [writing, log.fileno(), lock.fileno(), directory])
            self._pid = int(answer or 0)
            if not answer:
                log.write(f"process {self._template.pid}, which forks schedulers, has ended\n")
                log.flush()
        except BaseException:
            os.close(writing)
            writing = -1
            self.end()
            raise
        finally:
            os.close(directory)
            if writing >= 0:
                os.close(writing)

    def states(self) -> Iterator[dict[str, Any]]:
        """How far it is, until it ends."""
        return map(json.loads, self._states)

    def end(self) -> None:
        """Kill it and its workers; they are gone then."""
        gone = False
        try:
            if self._pid:
                for kill in (os.kill, os.killpg):  # it may not lead its group yet
                    with suppress(ProcessLookupError):
                        kill(self._pid, signal.SIGKILL)
                gone = self._template.ask({}, patience=PATIENCE) is not None
        finally:
            if gone:
                Template.idle.append(self._template)
            else:
                self._template.end()
        try:
            for _ in self._states:  # who outlived its template for a moment has this open
                pass
        finally:
            self._states.close()


@atexit.register
def _end_all() -> None:
    for template in Template.idle:
        if template.owner == os.getpid():
            template.end()


def _read_once(environment: Mapping[str, str]) -> dict[str, object]:
    """What a process has from its start on, and this one may have otherwise by now."""
    umask = Path("/proc/self/status").read_text().partition("Umask:")[2][:6]  # old kernels do not say it
    limits = [resource.getrlimit(number) for number in LIMITS]
    return {**{name: value for name, value in environment.items() if name.startswith(READ_ONCE)},
            "inherited": (umask, limits, os.sched_getaffinity(0), os.nice(0))}
