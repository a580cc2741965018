"""Workers as jobs of Slurm or LSF.

All jobs of a run have one name, which is written into the records before the first one is submitted, so that they can be
found and cancelled: when the run ends, or else before the next run on the same records begins::

    jobs/name.json     scheduler and name of this run's jobs
    jobs/states.json   the jobs that are not over, as one process asks for all of them
"""

import contextlib
import json
import logging
import math
import os
import re
import secrets
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from lsd_experiments.blockwise import job_wait
from lsd_experiments.blockwise.spec import TaskSpec
from lsd_experiments.blockwise.workers import parse_memory
from lsd_experiments.errors import UserError

logger = logging.getLogger(__name__)

SUBMIT = {"slurm": "sbatch", "lsf": "bsub"}
LISTED_AFTER = {"slurm": 0, "lsf": 15}  # seconds after its submission in which a job may not be listed yet
SLOWEST = 15.0  # seconds between two questions to the scheduler


def choose_name(records: Path, kind: str, stage: str) -> str:
    """A name for this run's jobs that no other job has; it stands in the records."""
    name = f"lsd-{stage}-{secrets.token_hex(6)}"
    (records / "jobs").mkdir(exist_ok=True)
    (records / "jobs" / "name.json").write_text(json.dumps({"kind": kind, "name": name}))
    return name


def submit_command(spec: TaskSpec, name: str, out: str, err: str) -> list[str]:
    """The command that submits the script of its standard input as one worker's job."""
    workers = spec.workers
    cpus = workers["cpus"] or spec.cpus
    if workers["kind"] == "slurm":
        return [
            "sbatch", "--parsable", *workers["options"], f"--job-name={name}", "--no-requeue", "--export=ALL", "--ntasks=1",
            f"--cpus-per-task={cpus}",
            *([f"--gres=gpu:{workers['gpus']}"] if workers["gpus"] else []),
            *([f"--mem={math.ceil(parse_memory(workers['memory']) / 2**20)}M"] if workers["memory"] else []),
            *([f"--time={workers['time_limit']}"] if workers["time_limit"] else []),
            *([f"--partition={workers['queue']}"] if workers["queue"] else []),
            f"--output={out}", f"--error={err}", "--open-mode=append",
        ]
    memory = [f"{math.ceil(parse_memory(workers['memory']) / 10**6)}MB"] if workers["memory"] else []
    return [
        "bsub", *workers["options"], "-J", name, "-rn", "-n", str(cpus), "-R", "span[hosts=1]",
        *(["-gpu", f"num={workers['gpus']}"] if workers["gpus"] else []),
        *(word for size in memory for word in ("-M", size, "-R", f"rusage[mem={size}]")),
        *(["-W", _minutes(workers["time_limit"])] if workers["time_limit"] else []),
        *(["-q", workers["queue"]] if workers["queue"] else []),
        "-o", out, "-e", err,
    ]


def script(command: list[str]) -> str:
    """What a job does; its environment is that of who submitted it."""
    return f"#!/bin/sh\nexec {shlex.join(command)}\n"


def become_job(spec: TaskSpec, command: list[str]) -> NoReturn:
    """Submit ``command`` as a job, and become what waits for its end; its output goes where this process's does.

    :raises SystemExit: if it cannot be submitted
    """
    records = Path(spec.records)
    run = _run_of(records)
    assert run is not None, "a job without a name could not be cancelled"
    out, err = (str(Path(f"/proc/self/fd/{number}").readlink()) for number in (1, 2))
    words = submit_command(spec, run["name"], out, err)
    answer = subprocess.run(words, input=script(command), capture_output=True, text=True, check=False)
    if answer.returncode:
        sys.exit(f"{shlex.join(words)} failed: {answer.stderr.strip()}")
    job = job_id(run["kind"], answer.stdout)
    submitted = time.time() + LISTED_AFTER[run["kind"]]
    print(f"job {job}", file=sys.stderr, flush=True)
    states = str(records / "jobs" / "states.json")
    os.execv(sys.executable, [sys.executable, "-I", "-S", job_wait.__file__, run["kind"], job, states, str(submitted)])


def job_id(kind: str, answer: str) -> str:
    """The job's number in what sbatch (``12;cluster``) or bsub (``Job <12> is submitted to ...``) says."""
    return answer.strip().split(";")[0] if kind == "slurm" else answer.partition("<")[2].partition(">")[0]


def keep_states(records: Path) -> NoReturn:
    """Ask for the states of all jobs again and again, less often the longer nothing changes; who waits for a job looks here."""
    run = _run_of(records)
    assert run is not None, "jobs without a name"
    pause, before = 1.0, None
    while True:
        time.sleep(pause)
        asked = time.time()
        states = _states(run)
        if states is None:  # the scheduler does not answer: a restart, an upgrade
            pause = SLOWEST
            continue
        pause = 1.0 if states != before else min(SLOWEST, pause * 1.3)
        before = states
        part = records / "jobs" / "states.json.partial"
        with contextlib.suppress(OSError):
            part.write_text(json.dumps({"asked": asked, "states": states}))
            part.replace(records / "jobs" / "states.json")


def cancel(records: Path, seconds: float = 60) -> None:
    """Cancel all jobs of the last run on ``records``, and wait until they are gone.

    What stays, because the scheduler does not answer, is said with a warning, and cancelled by the next run.
    """
    run = _run_of(records)
    if run is None:
        return
    words = _cancel_command(run)
    end, gone = time.monotonic() + seconds, 0
    while gone < 2:  # twice: one that was being submitted may appear
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            _ask(words)
        states = _states(run)
        gone = gone + 1 if states is not None and not states else 0
        if time.monotonic() > end or shutil.which(words[0]) is None:
            logger.warning("%s: jobs called %s may be left; run: %s", run["kind"], run["name"], shlex.join(words))
            return
        time.sleep(0.3)
    (records / "jobs" / "name.json").unlink(missing_ok=True)
    (records / "jobs" / "states.json").unlink(missing_ok=True)


def cancel_unattended(records: Path) -> None:
    """Have all jobs of the run on ``records`` cancelled after this process has ended; nobody sees whether they are."""
    run = _run_of(records)
    if run is not None:
        subprocess.Popen(_cancel_command(run), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL, start_new_session=True)


def cancel_job(kind: str, job: str) -> None:
    """Have one job cancelled that does nothing any more; nobody waits for that.

    It is killed first: to be cancelled, Slurm would wake it up, if it was stopped.
    """
    if kind not in SUBMIT or not re.fullmatch("[0-9]+", job):
        return
    commands = ([["scancel", "--full", "--signal=KILL", job], ["scancel", job]] if kind == "slurm"
                else [["bkill", "-s", "KILL", job], ["bkill", job]])

    def cancel() -> None:
        for words in commands:
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                _ask(words)

    threading.Thread(target=cancel, daemon=True).start()


def _cancel_command(run: Mapping[str, str]) -> list[str]:
    return ["scancel", f"--name={run['name']}"] if run["kind"] == "slurm" else ["bkill", "-J", run["name"], "0"]


def _states(run: Mapping[str, str]) -> dict[str, str] | None:
    """The jobs of ``run`` that are not over, with their states; None if the scheduler does not answer."""
    if run["kind"] == "slurm":
        words = ["squeue", "--noheader", f"--name={run['name']}", "--format=%i %T"]
    else:
        words = ["bjobs", "-noheader", "-J", run["name"], "-o", "jobid stat"]
    try:
        answer = _ask(words)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if answer.returncode and "not found" not in answer.stderr:  # what bjobs says when there is none
        return None
    return dict(line.split()[:2] for line in answer.stdout.splitlines() if len(line.split()) >= 2)


def _ask(words: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, start_new_session=True)


def _run_of(records: Path) -> dict[str, str] | None:
    try:
        run: dict[str, str] = json.loads((records / "jobs" / "name.json").read_text())
        if run["kind"] not in SUBMIT or not run["name"].startswith("lsd-"):
            raise ValueError("another kind of file")
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{records / 'jobs' / 'name.json'}: not what this software writes there. Remove it when no job of an "
                        "earlier run is left") from error
    return run


def _minutes(time_limit: str) -> str:
    """LSF's ``H:MM`` for ``H:MM:SS`` or ``D-HH:MM:SS``; begun minutes count."""
    days, _, clock = time_limit.rpartition("-")
    hours, minutes, seconds = map(int, clock.split(":"))
    total = int(days or 0) * 1440 + hours * 60 + minutes + (seconds > 0)
    return f"{total // 60}:{total % 60:02d}"
