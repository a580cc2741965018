"""The command behind 02_train/trainings.py."""

import argparse
import fcntl
import os
import signal
from fnmatch import fnmatchcase
from pathlib import Path

from lsd_experiments import cli
from lsd_experiments.errors import UserError, nearest
from lsd_experiments.locks import only_run
from lsd_experiments.trainings.reading import Job, read_queue
from lsd_experiments.trainings.state import LOCK, State, iteration_of


def main(description: str | None) -> None:
    """Run the command."""
    parser = cli.parser(description)
    parser.add_argument("queue", metavar="QUEUE.toml", help="the jobs; see docs/trainings.md")
    parser.add_argument("out", metavar="OUT", help="directory of all outputs; made if it is not there")
    parser.add_argument("--status", action="store_true", help="print what is done and what is left, and run nothing")
    parser.add_argument("--parallel", type=cli.positive, metavar="N", help="jobs at a time (default: the file's, 1)")
    parser.add_argument("--only", metavar="PATTERN", default="*",
                        help="run the jobs of these names, like 'seed0/*' (default: all)")
    cli.run(_command, parser)


def _command(options: argparse.Namespace) -> int:
    out = Path(options.out).resolve()
    queue, jobs = read_queue(Path(options.queue), out)
    asked = [job for job in jobs if fnmatchcase(job.name, options.only)]
    if not asked:
        raise UserError(f"--only {options.only}: no job is called so{nearest(options.only, [job.name for job in jobs])}")
    if options.status:
        print(table(asked, State.read(out)))
        return 0
    from lsd_experiments.trainings.running import run_queue

    with only_run(out, lock=out / LOCK, work="another queue is at work there"):
        os.nice(queue.nice)
        return run_queue(jobs, State.read(out), options.parallel or queue.parallel, queue.threads, options.only)


def table(jobs: list[Job], state: State) -> str:
    """What is done of each job: iterations, CPU seconds; and what is left in all."""
    rows = [("job", "is", "iterations", "CPU s")]
    rows += [(job.name, _is(job, state), _iterations(job), f"{state.of(job).seconds:.0f}") for job in jobs]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) if n < 2 else cell.rjust(width)
                       for n, (cell, width) in enumerate(zip(row, widths, strict=True))) for row in rows]  # fmt: skip
    left = sum(not state.is_done(job) for job in jobs)
    seconds = sum(done.seconds for done in state.jobs.values())
    work = "a queue is at work" if _at_work(state.out) else "no queue is at work"
    return "\n".join([*lines, f"{left} of {len(jobs)} jobs are left; {seconds / 3600:.2f} CPU hours so far; {work}"])


def _is(job: Job, state: State) -> str:
    done = state.of(job)
    if state.is_done(job):
        return "done"
    if done.status is None:
        return "left"
    if done.status == 0:
        return "left, changed"
    return "stopped" if done.status - 128 in (signal.SIGINT, signal.SIGTERM) else f"failed ({done.status})"


def _iterations(job: Job) -> str:
    return "" if job.iterations is None else f"{min(iteration_of(job), job.iterations)}/{job.iterations}"


def _at_work(out: Path) -> bool:
    try:
        with (out / LOCK).open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
