"""``python -m lsd_experiments.blockwise.start_worker RECORDS/task.json SERVER NAME``: how workers are started.

The server has one process per worker (:mod:`~lsd_experiments.blockwise.processes`). It is the worker, a fork of the server; or,
with a prefix, in a container, or as a job of a cluster, it is this command, which starts one, lasts as long as the worker does,
and fails if that fails.
"""

import shlex
import subprocess
import sys
from pathlib import Path

from lsd_experiments.blockwise import cluster
from lsd_experiments.blockwise.launch import take_gpus, worker_command
from lsd_experiments.blockwise.spec import TaskSpec, end_with_parent
from lsd_experiments.blockwise.worker import work


def is_forked(spec: TaskSpec) -> bool:
    """Whether the workers are forks of their server."""
    workers = spec.workers
    return workers["kind"] == "local" and not workers["prefix"] and not workers["image"]


def become_worker(spec: TaskSpec, server: int) -> None:
    """The life of a worker, which also ends with the process ``server``."""
    end_with_parent(parent=server)
    lock = take_gpus(spec)
    work(spec)
    if lock:
        lock.close()


def main() -> None:
    """One worker, from its start to its end, or to that of the process SERVER.

    :raises SystemExit: if it failed
    """
    end_with_parent(parent=int(sys.argv[2]))
    spec = TaskSpec.from_json(Path(sys.argv[1]).read_text())
    if spec.workers["kind"] != "local":
        cluster.become_job(spec, worker_command(spec))
    lock = take_gpus(spec)
    files = (lock.fileno(),) if lock else ()  # the GPUs are taken for as long as the worker is there
    ended = subprocess.run(worker_command(spec), stdin=subprocess.DEVNULL, pass_fds=files, check=False).returncode
    if ended:
        print(f"the worker's command ({shlex.join(worker_command(spec))}) "
              + (f"ended with status {ended}" if ended > 0 else f"was ended by signal {-ended}"), file=sys.stderr, flush=True)
        sys.exit(ended if ended > 0 else 128 - ended)


if __name__ == "__main__":
    main()
