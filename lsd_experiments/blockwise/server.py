"""``python -m lsd_experiments.blockwise.server PARENT``: daisy's scheduler for one task; it ends with the process PARENT.

Reads a :class:`~lsd_experiments.blockwise.spec.TaskSpec` as JSON from the standard input, and writes how far it is to
the standard output, one JSON object per line. daisy starts the workers (:mod:`~lsd_experiments.blockwise.launch`), and
listens on a port of 127.0.0.1.
"""

import asyncio
import os
import resource
import secrets
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any

from lsd_experiments.blockwise import cluster, lifeline
from lsd_experiments.blockwise.blocks import block_number, count_blocks
from lsd_experiments.blockwise.gate import Gate
from lsd_experiments.blockwise.launch import slot
from lsd_experiments.blockwise.monitor import Monitor
from lsd_experiments.blockwise.spec import TaskSpec, describe, end_with_parent
from lsd_experiments.geometry import Box
from lsd_experiments.writing import put_text

FOR_EVER = 1e9  # seconds; None means 600 to daisy
NO_LIMIT = 10**9  # restarts of workers: the monitor ends a run whose workers only die
GRACE = 15.0  # seconds after which daisy ends a worker that does not end itself when its block is out of time


def main() -> None:
    """Run the task of the standard input."""
    spec = TaskSpec.from_json(sys.stdin.read())
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # about ten files per worker
    end_with_parent(partial(cluster.cancel_unattended, Path(spec.records)), int(sys.argv[1]))
    serve(spec)


def serve(spec: TaskSpec) -> None:
    """Have all blocks of ``spec`` worked on that are not done yet; ends the process."""
    import daisy.v2 as daisy
    from daisy.logging import set_log_basedir

    set_log_basedir(Path(spec.records) / "logs")
    monitor = Monitor(spec)
    _open_gate(spec, monitor)
    threading.Thread(target=monitor.watch, daemon=True).start()
    if spec.workers["kind"] != "local":
        threading.Thread(target=cluster.keep_states, args=(Path(spec.records),), daemon=True).start()
    task = _task(spec)
    states = daisy.run_blockwise(task, progress=monitor, host="127.0.0.1", summary=False, return_states=True)
    monitor.on_progress(states)
    _name_lost_blocks(spec, task.failed_blocks())
    monitor.end()


def _open_gate(spec: TaskSpec, monitor: Monitor) -> None:
    """Listen for workers, and tell them where, by this process's environment, which they get."""
    token = secrets.token_hex(16)
    gate = Gate(spec.workers["host"], token, monitor)
    os.environ[lifeline.ADDRESS], os.environ[lifeline.TOKEN] = gate.address, token
    if gate.relay_address:
        os.environ[lifeline.RELAY] = gate.relay_address
    threading.Thread(target=lambda: asyncio.run(gate.serve()), daemon=True).start()


def _task(spec: TaskSpec) -> Any:
    import daisy.v2 as daisy

    read = Box.of_shape(spec.write_shape, spec.begin).grow(spec.context)
    overall = spec.total.grow(spec.context)
    timeout = spec.workers["block_timeout"]
    return daisy.Task(
        task_id=spec.name,
        total_roi=daisy.Roi(overall.begin, overall.shape),
        read_roi=daisy.Roi(read.begin, read.shape),
        write_roi=daisy.Roi(spec.begin, spec.write_shape),
        process_function=partial(slot, spec.to_json(), os.getpid()),
        fit="overhang",
        read_write_conflict=spec.read_write_conflict,
        max_workers=min(spec.num_workers, count_blocks(spec.total, spec.write_shape)),
        max_retries=spec.workers["max_retries"],
        max_worker_restarts=NO_LIMIT,
        timeout=timeout * (2 if spec.threads > 1 else 1) + GRACE if timeout else FOR_EVER,  # one that is alone waits before
        tracking_path=str(Path(spec.records) / "done"),
    )


def _name_lost_blocks(spec: TaskSpec, failed: list[Any]) -> None:
    """Record the failed blocks whose workers died before they could."""
    for block in failed:
        begin, end = tuple(block.write_roi.begin), tuple(block.write_roi.end)
        number = block_number(spec.total, spec.write_shape, begin)
        path = Path(spec.records) / "failed" / f"{number}.txt"
        if not path.exists():
            put_text(path, f"{describe(number, Box(begin, end))}\n"
                      "its worker died each time (killed, out of memory, or cut off from here)\n")


if __name__ == "__main__":
    main()
