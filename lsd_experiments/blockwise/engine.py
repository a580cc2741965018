"""Run a block function over all blocks of a volume with daisy, in worker processes.

    run_blockwise()  --->  server: daisy's scheduler   --->  worker  (num_workers of them)
    this process           a process of its own              fresh interpreters, not forked

This process shows the progress and sees the signals; to stop, it kills the group of all the others, which keep nothing
that a rerun needs. What a run leaves in its ``records`` directory::

    done/                 daisy's record of finished blocks: a rerun skips them
    logs/server.log       what daisy has to say
    logs/<stage>/         what the workers printed, worker_<n>.out and worker_<n>.err, tracebacks of failed blocks
    failed/<block>.txt    box and traceback of a block that failed, until it succeeds
    user_error.txt        the one line that a worker could not go on for

While it runs it holds a lock (see :mod:`lsd_experiments.locks`): a second run on the same records is refused.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from lsd_experiments.blockwise.spec import TaskSpec, check_factory
from lsd_experiments.blockwise.workers import Workers, count_workers
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box, Voxels
from lsd_experiments.locks import only_run

ONE_WORKER = Workers(num_workers=1)


class BlocksFailedError(Exception):
    """Some blocks failed, and all the others are done; the message names them and their log files."""


@dataclass(frozen=True)
class BlockTask:
    """What is done to which blocks.

    :param name: the stage, as the progress bar and the logs call it
    :param total: the voxels to write
    :param write_shape: voxels that one block writes
    :param factory: ``module:function`` of this package; called once per worker with ``settings``, gives the function
        that works on one :class:`~lsd_experiments.blockwise.Block`
    :param settings: for the factory; JSON values
    :param records: directory that this task alone keeps its records in
    :param context: voxels that a block reads more, on both sides of each axis
    :param read_write_conflict: whether a block must not run beside one that writes what it reads
    :param environment: variables that the workers get besides this process's; they are not written to any file
    :param workers: where they run, and what happens when they fail
    :param cpus: cores that a worker uses, unless ``workers`` says it
    :param memory: bytes that a worker takes, as far as that can be told; unless ``workers`` says it
    :param threads: blocks in work at a time in one worker process; the block function is called by as many threads
    """

    name: str
    total: Box
    write_shape: Voxels
    factory: str
    settings: Mapping[str, Any]
    records: Path
    context: Voxels = (0, 0, 0)
    read_write_conflict: bool = False
    environment: Mapping[str, str] | None = None
    workers: Workers = ONE_WORKER
    cpus: int = 1
    memory: int | None = None
    threads: int = 1


def run_blockwise(task: BlockTask) -> None:
    """Work on all blocks of ``task`` that are not done yet; returns when all are.

    Ctrl-C and SIGTERM stop the workers at once, and a rerun goes on from there.

    :raises UserError: if a worker raised one, or another run is at work on the same records
    :raises BlocksFailedError: if blocks still failed after ``max_retries`` retries; all others are done then
    """
    assert min(task.write_shape) > 0, f"{task.name}: blocks of shape {task.write_shape}"
    check_factory(task.factory)
    with only_run(task.records):
        _run(task)


def _run(task: BlockTask) -> None:
    records = task.records
    shutil.rmtree(records / "failed", ignore_errors=True)
    (records / "user_error.txt").unlink(missing_ok=True)
    (records / "failed").mkdir(parents=True)
    (records / "logs").mkdir(exist_ok=True)
    problem = _run_server(task)
    if (records / "user_error.txt").exists():
        raise UserError((records / "user_error.txt").read_text())
    failures = sorted((records / "failed").iterdir(), key=lambda path: int(path.stem))
    if failures or problem:
        raise BlocksFailedError(_report(task, failures, problem))


def clear_records(records: Path) -> None:
    """Forget which blocks are done.

    :raises UserError: if a run is at work on them
    """
    if records.exists():
        with only_run(records):
            shutil.rmtree(records, ignore_errors=True)


def _run_server(task: BlockTask) -> str | None:
    """Have the server work on all blocks, and show how far it is; what went wrong besides single blocks, or None."""
    log = task.records / "logs" / "server.log"
    with log.open("a") as stderr, _sigterm_exits():
        server = subprocess.Popen([sys.executable, "-m", "lsd_experiments.blockwise.server"], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, stderr=stderr, text=True, env=_environment(task),
                                  start_new_session=True)
        try:
            assert server.stdin is not None
            assert server.stdout is not None
            server.stdin.write(_spec(task).to_json())
            server.stdin.close()
            state = _show(task.name, map(json.loads, server.stdout))
            server.wait()
        finally:
            if server.poll() is None:
                os.killpg(server.pid, signal.SIGKILL)
            server.wait()
    if server.returncode:
        return f"daisy failed (see {log})"
    if state["abandoned"]:
        return "its workers kept dying (out of memory?), and the remaining blocks were not worked on"
    missing = state["total"] - state["completed"]
    return f"{missing} of {state['total']} blocks are missing" if missing else None


def _spec(task: BlockTask) -> TaskSpec:
    return TaskSpec(name=task.name, factory=task.factory, settings=dict(task.settings),
                    records=str(task.records.resolve()), begin=task.total.begin, end=task.total.end,
                    write_shape=task.write_shape, context=task.context, read_write_conflict=task.read_write_conflict,
                    num_workers=count_workers(task.workers, task.cpus, task.memory), threads=task.threads,
                    workers=task.workers.model_dump(mode="json"))


def _environment(task: BlockTask) -> dict[str, str]:
    """The workers'; they import this package from where this process does, and nothing from the current directory."""
    package = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), package]))
    return {**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1", **(task.environment or {})}


def _show(name: str, states: Iterator[dict[str, Any]]) -> dict[str, Any]:
    """A bar with rate and remaining time, of the blocks that are worked on now; the last state."""
    from tqdm import tqdm

    state: dict[str, Any] = {"total": 0, "completed": 0, "abandoned": False}
    bar = None
    for state in states:
        if bar is None:
            bar = tqdm(total=state["total"], initial=state["skipped"], desc=name, unit="block", dynamic_ncols=True)
        bar.update(state["completed"] - bar.n)
        if state["failed"]:
            bar.set_postfix(failed=state["failed"], refresh=False)
    if bar is not None:
        bar.close()
    return state


@contextmanager
def _sigterm_exits() -> Iterator[None]:
    """While open, SIGTERM raises SystemExit with the status that :mod:`lsd_experiments.cli` documents for it."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread may set handlers
        yield
        return

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _report(task: BlockTask, failures: list[Path], problem: str | None) -> str:
    lines = [f"{task.name}: " + (problem or f"{len(failures)} blocks failed")]
    for path in failures[:10]:
        where, *_, what = path.read_text().strip().splitlines()
        lines.append(f"  {where}: {what}; traceback in {path}")
    if len(failures) > 10:
        lines.append(f"  and {len(failures) - 10} more, in {failures[0].parent}")
    lines.append(f"  worker logs: {task.records / 'logs' / task.name}. "
                 "Finished blocks are kept: mend the cause and run this again")
    return "\n".join(lines)
