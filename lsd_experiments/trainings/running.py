"""Runs the jobs of a queue as processes of their own, some at a time, until all are done or it is told to stop."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO

from lsd_experiments.errors import UserError
from lsd_experiments.scenario import environment
from lsd_experiments.training.stopping import stop_requests
from lsd_experiments.trainings.reading import Job
from lsd_experiments.trainings.setups import make_setup
from lsd_experiments.trainings.state import State
from lsd_experiments.writing import put_text

STOPPED = 128 + signal.SIGTERM
PAUSE = 0.1  # seconds from look to look
# Of OpenMP, BLAS, numba, and TensorFlow's own.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


@dataclass
class Running:
    """A job at work: the process of one of its steps. ``told``: to end, and begin no further one."""

    job: Job
    threads: int
    log: IO[str]
    step: int = -1
    seconds: float = 0.0
    told: bool = False
    process: "subprocess.Popen[str]" = field(init=False)

    def next_step(self) -> bool:
        """Begin the next step; whether there is one."""
        self.step += 1
        if self.step == len(self.job.steps):
            return False
        script, *arguments = self.job.steps[self.step]
        print(f"==> cd {self.job.directory}; python {script} {' '.join(arguments)}", file=self.log, flush=True)
        threads = dict.fromkeys(THREADS, str(self.threads))
        self.process = subprocess.Popen(
            [sys.executable, script, *arguments], cwd=self.job.directory, env=environment(**threads), text=True,
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT,
            start_new_session=True)  # fmt: skip  # a terminal's Ctrl-C comes to it once, through this process
        return True

    def ended(self) -> int | None:
        """The exit status of the step, if it has ended; its CPU time is added, with that of its workers."""
        pid, status, usage = os.wait4(self.process.pid, os.WNOHANG)
        if pid == 0:
            return None
        self.process.returncode = os.waitstatus_to_exitcode(status)
        self.seconds += usage.ru_utime + usage.ru_stime
        return self.process.returncode

    def tell(self) -> None:
        """Ask the step to end, once."""
        if not self.told:
            self.told = True
            self.process.send_signal(signal.SIGTERM)


def run_queue(jobs: list[Job], state: State, parallel: int, threads: int, only: str = "*") -> int:
    """Run what is not done, ``parallel`` jobs at a time in their order; returns the exit status.

    ``only``: a pattern of the names of those to run. What they need must be among them, or done.

    A job that fails is left, and so are those that need it. SIGTERM and Ctrl-C are passed on: what is at work saves and ends. A
    second Ctrl-C kills it.
    """
    running: list[Running] = []
    try:
        with stop_requests() as stopped:
            _work(jobs, state, parallel, threads, running, stopped, only)
            signalled = stopped()
    except BaseException:
        for one in running:
            with suppress(ProcessLookupError):
                os.killpg(one.process.pid, signal.SIGKILL)
        raise
    asked = [job for job in jobs if fnmatchcase(job.name, only)]
    left = [job.name for job in asked if not state.is_done(job)]
    if signalled:
        print(f"stopped; {len(left)} jobs are left, run the same command to go on", file=sys.stderr)
        return 128 + signalled
    if left:
        print(f"error: {len(left)} of {len(asked)} jobs failed, or need one that did: {', '.join(left[:5])}"
              f"{' ...' if len(left) > 5 else ''}", file=sys.stderr)
    return 1 if left else 0


def _work(jobs: list[Job], state: State, parallel: int, threads: int, running: list[Running], stopped: Callable[[], int],
          only: str) -> None:
    tried: set[str] = set()
    while True:
        while not stopped() and len(running) < parallel and (job := _next(jobs, state, tried, only)):
            tried.add(job.name)
            if begun := _begin(job, state, threads):
                running.append(begun)
        if not running:
            return
        time.sleep(PAUSE)
        for one in [*running]:
            if stopped():
                one.tell()
            if _is_over(one, state):
                running.remove(one)


def _next(jobs: list[Job], state: State, tried: set[str], only: str) -> Job | None:
    """The first job that is to be run, and can."""
    done = {job.name for job in jobs if state.is_done(job)}
    asked = (job for job in jobs if fnmatchcase(job.name, only))
    return next((job for job in asked if job.name not in done | tried and set(job.needs) <= done), None)


def _begin(job: Job, state: State, threads: int) -> Running | None:
    try:
        if job.setup is not None:
            make_setup(Path(job.directory), job.setup)
    except UserError as error:
        print(f"{job.name}: {error}", file=sys.stderr, flush=True)
        state.ran(job, 2, 0.0)
        return None
    Path(job.directory).mkdir(parents=True, exist_ok=True)
    for name, text in job.files.items():
        put_text(Path(job.directory) / name, text)
    log = log_of(job, state.out)
    log.parent.mkdir(parents=True, exist_ok=True)
    begun = Running(job, threads, log.open("a"))
    begun.next_step()
    _say(job, "begins")
    return begun


def _is_over(one: Running, state: State) -> bool:
    status = one.ended()
    if status is None or (status == 0 and not one.told and one.next_step()):
        return False
    if status < 0:  # a signal's own end: as a shell says it
        status = 128 - status
    if status == 0 and one.told and one.step < len(one.job.steps) - 1:
        status = STOPPED  # its step came to an end, the job did not
    one.log.close()
    state.ran(one.job, status, one.seconds)
    failed = f"failed with status {status}, see {log_of(one.job, state.out)}"
    _say(one.job, "done" if status == 0 else "stopped" if one.told else failed)
    return True


def _say(job: Job, what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {job.name}: {what}", file=sys.stderr, flush=True)


def log_of(job: Job, out: Path) -> Path:
    """Where what a job prints goes."""
    name = re.sub(r"[^-.\w]+", "_", job.name)
    return out / "logs" / f"{name}.log"
