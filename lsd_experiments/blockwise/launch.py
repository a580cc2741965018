"""What workers are started with: their command, the container around it, their GPUs."""

import fcntl
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from lsd_experiments.blockwise.spec import TaskSpec
from lsd_experiments.blockwise.workers import container_program

MODULE = "lsd_experiments.blockwise.worker"
SPEC = "task.json"  # in the records; what workers that are started by a command read


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
