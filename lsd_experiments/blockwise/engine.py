"""Run a block function over all blocks of a volume with daisy, in worker processes.

This process starts the server (:mod:`~lsd_experiments.blockwise.server`), shows the progress and sees the signals. To stop, it
kills the group of all the others, which keep nothing that a rerun needs, and cancels jobs; workers elsewhere end by themselves
(:mod:`~lsd_experiments.blockwise.connection`).
What a run leaves in its ``records`` directory::

    done/                 daisy's record of finished blocks: a rerun skips them
    progress.json         how far the run is, or the last one was
    logs/server.log       what daisy has to say
    logs/<stage>/         what the workers printed, worker_<n>.out and worker_<n>.err, tracebacks of failed blocks
    failed/<block>.txt    box and traceback of a block that failed, until it succeeds
    task.json             what workers are told
    jobs/                 of a cluster, see :mod:`~lsd_experiments.blockwise.cluster`

While it runs it holds a lock (see :mod:`lsd_experiments.locks`): a second run on the same records is refused.
The scheduler holds it, too.
"""

import logging
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO, Any

from lsd_experiments.blockwise import cluster, machine
from lsd_experiments.blockwise.blocks import count_blocks
from lsd_experiments.blockwise.disk import full_disk, has_space
from lsd_experiments.blockwise.launch import SPEC, package_root
from lsd_experiments.blockwise.records import check_done, failure, last_words, prune_logs, remove
from lsd_experiments.blockwise.spec import TaskSpec, check_factory
from lsd_experiments.blockwise.templates import RunningServer
from lsd_experiments.blockwise.workers import Workers, check_workers, count_workers
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box, Voxels
from lsd_experiments.locks import only_run

logger = logging.getLogger(__name__)

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
    :param cpus: cores that a worker uses, unless ``workers`` says it; None: all of the machine that it runs on
    :param memory: bytes that a worker takes, as far as that can be told; unless ``workers`` says it
    :param threads: blocks in work at a time in one worker process; the block function is called by as many threads
    :param imports: modules that its workers import and that start no threads as they are: forks of one process share them
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
    cpus: int | None = 1
    memory: int | None = None
    threads: int = 1
    imports: tuple[str, ...] = ()


def run_blockwise(task: BlockTask, show: Callable[[dict[str, Any]], None] | None = None) -> None:
    """Work on all blocks of ``task`` that are not done yet; returns when all are.

    Ctrl-C and SIGTERM stop the workers at once, and a rerun goes on from there.

    :param show: called with each new state, which is what ``progress.json`` holds (default: a progress bar)
    :raises UserError: if a factory raised one, or the first 20 blocks, or a block an ``Unavailable``; a disk is full, workers
        cannot be started here, or another run is at work on the same records
    :raises BlocksFailedError: if blocks still failed after their retries, and all others are done; or if workers only died
    """
    assert min(task.write_shape) > 0, f"{task.name}: blocks of shape {task.write_shape}"
    check_factory(task.factory)
    check_workers(task.workers)
    try:
        with only_run(task.records) as lock:
            _run(task, lock, show)
    except OSError as error:
        line = full_disk(error, [task.records])
        if line is None:
            raise
        raise UserError(line) from error


def _run(task: BlockTask, lock: IO[str], show: Callable[[dict[str, Any]], None] | None) -> None:
    records = task.records
    spec = _spec(task)
    shutil.rmtree(records / "failed", ignore_errors=True)
    (records / "failed").mkdir(parents=True)
    (records / "logs").mkdir(exist_ok=True)
    prune_logs(records / "logs" / task.name)
    check_done(records)
    cluster.cancel(records)  # of a run that could not
    (records / SPEC).write_text(spec.to_json())
    if task.workers.kind != "local":
        cluster.choose_name(records, task.workers.kind, task.name)
    logger.info("%s: %d blocks for %d %s workers; their logs are in %s", task.name, count_blocks(task.total, task.write_shape),
                spec.num_workers, task.workers.kind, records / "logs" / task.name)
    try:
        problem = _run_server(task, spec, lock, show)
    finally:
        cluster.cancel(records)
        prune_logs(records / "logs" / task.name)
    failures = sorted((path for path in (records / "failed").iterdir() if path.suffix == ".txt"),
                      key=lambda path: int(path.stem))
    if failures or problem:
        raise BlocksFailedError(_report(task, failures, problem))
    logger.info("%s: all blocks are done", task.name)


def clear_records(records: Path) -> None:
    """Forget which blocks are done.

    :raises UserError: if a run is at work on them, or they cannot be removed
    """
    if records.exists():
        with only_run(records):
            remove(records)


def _run_server(task: BlockTask, spec: TaskSpec, lock: IO[str], show: Callable[[dict[str, Any]], None] | None) -> str | None:
    """Have the server work on all blocks, and show how far it is; what went wrong besides single blocks, or None.

    :param lock: the server holds it, too: as long as one is there, no other run begins

    :raises UserError: if the run ended by one
    """
    log = task.records / "logs" / "server.log"
    with log.open("a") as stderr, _sigterm_exits():
        server = RunningServer(spec, _environment(task), task.imports, stderr, lock)
        try:
            state = _follow(task.name, server.states(), show)
        finally:
            server.end()
    return _problem(task, state, log)


def _problem(task: BlockTask, state: dict[str, Any], log: Path) -> str | None:
    if "user_error" in state:
        raise UserError(state["user_error"])
    if not state["ended"]:
        if not has_space(task.records):
            raise UserError(f"{task.records}: no space left. Make room there, and run this again: finished blocks are kept")
        return f"daisy failed (see {log})"
    if "dead" in state:
        return (f"{state['dead']} workers died one after the other without a block done in between. "
                f"{last_words(*state['log'])}")
    missing = state["total"] - state["completed"]
    return f"{missing} of {state['total']} blocks are missing" if missing else None


def _spec(task: BlockTask) -> TaskSpec:
    workers = task.workers
    return TaskSpec(name=task.name, factory=task.factory, settings=dict(task.settings),
                    records=str(task.records.resolve()), begin=task.total.begin, end=task.total.end,
                    write_shape=task.write_shape, context=task.context, read_write_conflict=task.read_write_conflict,
                    num_workers=count_workers(workers, task.cpus, task.memory), threads=task.threads,
                    cpus=workers.cpus or task.cpus or machine.cores(),
                    gpu_slots=machine.gpu_slots(workers.gpus) if workers.kind == "local" and workers.gpus else [],
                    workers=workers.model_dump(mode="json"))


def _environment(task: BlockTask) -> dict[str, str]:
    """The workers'; they import this package from where this process does, and nothing from the current directory."""
    path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), package_root()]))
    return {**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1", **(task.environment or {})}


def _follow(name: str, states: Iterator[dict[str, Any]], show: Callable[[dict[str, Any]], None] | None) -> dict[str, Any]:
    """Show each state; the last one."""
    from tqdm import tqdm

    state: dict[str, Any] = {"ended": False}
    bar = None
    for state in states:
        if show is not None:
            show({key: value for key, value in state.items() if key not in ("user_error", "dead", "log")})
            continue
        if bar is None:
            bar = tqdm(total=state["total"], desc=name, unit="block", dynamic_ncols=True)
        bar.initial = state["skipped"]  # rate and remaining time are of the blocks that are worked on now
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
        where, *trace, what = failure(path)
        lines.append(f"  {where}: {what}; {'traceback' if trace else 'noted'} in {path}")
    if len(failures) > 10:
        lines.append(f"  and {len(failures) - 10} more, in {failures[0].parent}")
    lines.append(f"  worker logs: {task.records / 'logs' / task.name}. "
                 "Finished blocks are kept: mend the cause and run this again")
    return "\n".join(lines)
