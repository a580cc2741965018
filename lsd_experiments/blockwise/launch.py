"""How workers are started.

The server has one process per worker (:mod:`~lsd_experiments.blockwise.slots`), which runs this. It becomes the worker, or starts
one: with a prefix, in a container, or as a job of a cluster. It lasts as long as the worker does, and fails if that fails.
"""

import fcntl
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from lsd_experiments.blockwise import cluster
from lsd_experiments.blockwise.spec import TaskSpec, end_with_parent
from lsd_experiments.blockwise.worker import work
from lsd_experiments.blockwise.workers import container_program

MODULE = "lsd_experiments.blockwise.worker"
SPEC = "task.json"  # in the records; what workers that are started by a command read


def main() -> None:
    """One worker, from its start to its end or to that of the server: ``launch RECORDS/task.json SERVER NAME``.

    :raises SystemExit: if it failed
    """
    end_with_parent(parent=int(sys.argv[2]))
    spec = TaskSpec.from_json(Path(sys.argv[1]).read_text())
    if spec.workers["kind"] != "local":
        cluster.become_job(spec, worker_command(spec))
    lock = take_gpus(spec)
    if not spec.workers["prefix"] and not spec.workers["image"]:
        return work(spec)
    files = (lock.fileno(),) if lock else ()  # the GPUs are taken for as long as the worker is there
    ended = subprocess.run(worker_command(spec), stdin=subprocess.DEVNULL, pass_fds=files, check=False).returncode
    if ended:
        print(f"the worker's command ({shlex.join(worker_command(spec))}) "
              + (f"ended with status {ended}" if ended > 0 else f"was ended by signal {-ended}"), file=sys.stderr, flush=True)
        sys.exit(ended if ended > 0 else 128 - ended)


def worker_command(spec: TaskSpec) -> list[str]:
    """The command of a worker that is not this process."""
    own = ["-m", MODULE, str(Path(spec.records) / SPEC)]
    if not spec.workers["image"]:
        return [*spec.workers["prefix"], sys.executable, *own]
    package = f"{package_root()}/lsd_experiments"  # alone: what is installed beside it is for this machine's Python
    return [*spec.workers["prefix"], *container(spec.workers, [package, spec.records]), "python", *own]


def container(workers: Mapping[str, Any], needed: list[str]) -> list[str]:
    """The words that run the rest in ``workers["image"]``; ``needed`` directories are there besides ``binds``."""
    binds = [word for bind in (*needed, *workers["binds"]) for word in ("--bind", bind)]
    return [container_program() or "apptainer", "exec", *(["--nv"] if workers["gpus"] else []), *binds, workers["image"]]


def package_root() -> str:
    """The directory that this package is imported from."""
    return str(Path(__file__).resolve().parents[2])


def take_gpus(spec: TaskSpec) -> IO[str] | None:
    """Take GPUs that no other worker of the run has, for as long as the file that is returned is open.

    Sets ``CUDA_VISIBLE_DEVICES``; a worker that ends, however, gives its GPUs back.
    """
    if not spec.gpu_slots:
        return None
    directory = Path(spec.records) / "gpus"
    directory.mkdir(exist_ok=True)
    end = time.monotonic() + 30
    while time.monotonic() < end:  # the last worker that had them may still be ending
        for ids in spec.gpu_slots:
            file = (directory / f"{ids.replace('/', '_')}.lock").open("a")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
                continue
            os.environ["CUDA_VISIBLE_DEVICES"] = ids
            return file
        time.sleep(0.2)
    raise RuntimeError(f"all GPUs are taken, as {directory} says")


if __name__ == "__main__":
    main()
