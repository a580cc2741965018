"""Run a script or a module of the package as a user does: in a process, with its own streams, environment and status.

An interpreter that imports Keras, TensorFlow and gunpowder takes 9 CPU seconds until its script begins, a fork of one that has
imported them 0.05. So two servers (tests/support/forkserver.py), each started when it is first asked, fork a child for each
script, which has all that a process has: ``frameworks`` has imported these three and run none of them, since what they start
when they first compute does not outlive a fork; ``light`` has numpy, zarr and the like. Neither has imported our package.

A new interpreter takes their place (``fresh=True``; and where libraries would read another environment at their import) in tests
of signals and kills, of what is imported, how quickly and with what noise; tests/test_repository.py starts each script in one.
"""

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import psutil

ROOT = Path(__file__).resolve().parents[1]
FRAMEWORKS = {"train.py", "predict.py", "predict_scan.py", "export_checkpoint.py", "import_checkpoint.py",
              "inspect_checkpoint.py"}  # of 02_train
# Variables that libraries, or Python, read when they are imported: another value of them takes a new interpreter. Others are read
# when they are needed, or are set by a library that this process has imported meanwhile.
READ_AT_IMPORT = ("CUDA_", "HOME", "JAX_", "KERAS_", "LANG", "LC_", "LD_", "MKL_", "MPL", "NUMBA_", "OMP_", "OPENBLAS_", "PYTHON",
                  "TF_", "TORCH_", "XDG_", "XLA_")
READ_LATE = {"PYTHONPATH", "TF_CPP_MIN_LOG_LEVEL"}

AT_START = dict(os.environ)
Ended = subprocess.CompletedProcess[str]


def run_script(
    script: str | Path,
    *arguments: object,
    cwd: str | Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 300,
    without: Sequence[str] = (),
    frameworks: bool | None = None,
    fresh: bool = False,
) -> Ended:
    """Run ``script`` (or ``-m`` and a module, ``-c`` and code) to its end, with nothing to read; its output is kept.

    :param env: default: :func:`environment`
    :param without: modules that it must not import: where it does, it fails
    :param frameworks: whether they are imported (default: as its name says); if so, a server is started for another ``env``
    :param fresh: in a new interpreter
    """
    words, env, place = [str(script), *map(str, arguments)], environment() if env is None else env, Path(cwd or Path.cwd())
    asked = bool(frameworks)
    if frameworks is None:
        frameworks = not without and Path(script).name in FRAMEWORKS and "02_train" in (place / script).resolve().parts
    server = None if fresh else _server("frameworks" if frameworks else "light", env, asked)
    if without and not server:  # only the servers' children can be kept from importing
        server = _server("light", AT_START, False)
    if server:
        return server.run(words, place, env, timeout, without)
    return subprocess.run([sys.executable, *words], cwd=place, env=env, timeout=timeout, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True)


def environment(**more: str) -> dict[str, str]:
    """This process's environment, with the package of this checkout, and ``more``."""
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}


def of_backend(name: str) -> dict[str, str]:
    """An environment in which Keras has this backend."""
    if name == "tensorflow":
        return environment()
    # JAX compiles for longer than it computes here.
    return environment(KERAS_BACKEND=name, XLA_FLAGS="--xla_backend_optimization_level=0")


def cpu_seconds() -> float:
    """Of this process, of those that it has waited for, and of the servers and the scripts that they have run."""
    used = [resource.getrusage(whom) for whom in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    ours = sum(each.ru_utime + each.ru_stime for each in used) + sum(server.used for server in Server.started)
    return ours + sum(sum(psutil.Process(template.pid).cpu_times()[:4]) for template in _templates())


def _templates() -> list[Any]:
    """What this process keeps to start workers: none if it had none."""
    servers = sys.modules.get("lsd_experiments.blockwise.templates")
    return [each for each in servers.Template.idle if each.owner == os.getpid()] if servers else []


def _server(kind: str, env: Mapping[str, str], asked: bool) -> "Server | None":
    """The one that imported in an environment like ``env``. There is one of a kind, unless others are asked for."""
    read, started = _read_at_import(env), [server for server in Server.started if server.kind == kind]
    if not started:
        started.append(Server(kind, env if asked else AT_START))
    found = next((server for server in started if server.environment == read), None)
    return found or (Server(kind, env) if asked else None)


def _read_at_import(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(READ_AT_IMPORT) and name not in READ_LATE}


class Server:
    """One that runs until this process ends, however that ends."""

    started: ClassVar[list["Server"]] = []

    def __init__(self, kind: str, env: Mapping[str, str]) -> None:
        self.kind, self.environment, self.used = kind, _read_at_import(env), 0.0  # CPU seconds, its own and of what it ran
        env = {name: value for name, value in env.items() if name != "PYTHONPATH"}
        self.lock, (self.socket, theirs) = threading.Lock(), socket.socketpair()
        with theirs:
            command = [sys.executable, str(ROOT / "tests" / "support" / "forkserver.py"), kind, str(theirs.fileno())]
            # Its output is a pipe, as that of most children is.
            self.process = subprocess.Popen(command, env=env, cwd="/", stdin=subprocess.DEVNULL,
                                            stdout=subprocess.PIPE, pass_fds=[theirs.fileno()])
        self.answers = self.socket.makefile()
        self.started.append(self)

    def run(self, words: Sequence[str], cwd: Path, env: Mapping[str, str], timeout: float, without: Sequence[str]) -> Ended:
        """What :func:`run_script` does."""
        asked = {"words": words, "directory": str(cwd), "environment": dict(env), "without": list(without)}
        with self.lock, ThreadPoolExecutor() as threads:
            pipes = os.pipe(), os.pipe()
            kept = [threads.submit(_read, reading) for reading, _ in pipes]
            self._ask(json.dumps(asked).encode() + b"\n", [writing for _, writing in pipes])
            [pid], answer = self._answer(), threads.submit(self._answer)
            try:
                status, used = answer.result(timeout)
            except TimeoutError:
                os.kill(int(pid), signal.SIGKILL)
                answer.result()
                raise subprocess.TimeoutExpired(list(words), timeout) from None
            self.used = float(used)
            return subprocess.CompletedProcess([sys.executable, *words], int(status), *(text.result() for text in kept))

    def _answer(self) -> list[str]:
        words = self.answers.readline().split()
        if not words:
            ended = self.process.wait()
            raise RuntimeError(f"{self.kind}: the server has ended ({ended}); what it said is among the captured errors")
        return words

    def _ask(self, message: bytes, output: list[int]) -> None:
        try:
            with Path(os.devnull).open() as nothing:
                sent = socket.send_fds(self.socket, [message], [nothing.fileno(), *output])
            self.socket.sendall(message[sent:])
        finally:
            for descriptor in output:
                os.close(descriptor)


def _read(descriptor: int) -> str:
    with open(descriptor) as file:
        return file.read()
