"""Kill the processes of a run, again and again, until it is done nevertheless.

A seed draws how many blocks of a stage are done when the next kill comes, how long after that, and whom it hits. After each kill
at least one more block is done before the next one, so that kills land in work and not in the start of workers. Every second run
is besides killed some moment after it began, wherever it is then: planning, making ready, starting workers, finishing a stage.
"""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.faults.running import DELAYS, STAGES, Progress, Run

LEAST = 30  # kills per seed
START = "start"  # what a report calls the moments after a run began
STARTS = 6  # of them, at most
LATEST = 3.0  # seconds after which they are over
# how often each is hit
PLANNED = {
    "predict": {"worker": 2, "scheduler": 1, "run": 1},
    "extract_fragments": {"worker": 7, "scheduler": 1, "template": 1, "run": 1},
    "agglomerate": {"worker": 7, "scheduler": 1, "template": 1, "run": 1},
    "find_segments": {"run": 1},
    "evaluate": {"run": 1},
    "extract_segmentation": {"worker": 7, "scheduler": 1, "template": 1, "run": 1},
}


@dataclass(frozen=True)
class Kill:
    """Hit ``target`` some ``wait`` seconds after ``done`` blocks of ``stage`` are done."""

    stage: str
    target: str
    done: int
    wait: float


@dataclass
class Report:
    """What was killed: how often by stage and by target, and how many runs it took."""

    seed: int
    stages: Counter[str] = field(default_factory=Counter)
    targets: Counter[str] = field(default_factory=Counter)
    runs: int = 0

    @property
    def kills(self) -> int:
        return self.stages.total()

    def __str__(self) -> str:
        stages = ", ".join(f"{stage} {self.stages[stage]}" for stage in (START, *STAGES))
        return f"seed {self.seed}: {self.kills} kills ({stages}; {dict(self.targets)}) in {self.runs} runs"


def plan_kills(seed: int, progress: Progress) -> Iterator[Kill]:
    """The kills of ``seed``, by stage."""
    draw = random.Random(seed)
    for stage in STAGES:
        targets = [target for target, count in PLANNED[stage].items() for _ in range(count)]
        draw.shuffle(targets)
        last = max(1, progress.total(stage) - len(targets) // 2)
        for target, done in zip(targets, sorted(draw.choices(range(last), k=len(targets))), strict=True):
            yield Kill(stage, target, done, draw.uniform(0, 0.05))


def run_through(config: Path, out: Path, logs: Path, seed: int) -> Report:
    """Run ``config``, kill as ``seed`` says, run it again until it ends with status 0, and tell what was killed.

    :raises AssertionError: if a run in which nothing was killed fails, or one leaves processes
    """
    progress, report, draw = Progress(out), Report(seed), random.Random(seed)
    pending = list(plan_kills(seed, progress))
    before: dict[str, int] = {}
    while True:
        run = Run(config, logs / f"seed_{seed}_run_{report.runs}.log", delays=DELAYS)
        report.runs += 1
        kills = report.kills
        if report.runs % 2 == 0 and report.stages[START] < STARTS:
            time.sleep(draw.uniform(0, LATEST))
            if _strike(run, draw.choice(("run", "scheduler")), draw):
                report.stages[START] += 1
        while pending and run.is_alive():
            kill = pending[0]
            if progress.is_over(kill.stage):
                pending.pop(0)  # too late
            elif not progress.has_begun(kill.stage) or progress.done(kill.stage) < max(kill.done, before.get(kill.stage, 0)):
                time.sleep(0.002)
            else:
                time.sleep(kill.wait)
                if not progress.is_over(kill.stage) and _strike(run, kill.target, draw):
                    pending.pop(0)
                    report.stages[kill.stage] += 1
                    report.targets[kill.target] += 1
                    before[kill.stage] = progress.done(kill.stage) + (kill.stage != "evaluate")
        status = run.wait()
        assert status == 0 or report.kills > kills, f"status {status}, though nothing was killed: {run.text()[-3000:]}"
        if status == 0:
            return report


def _strike(run: Run, target: str, draw: random.Random) -> bool:
    """Kill one process of ``run``; whether there was one."""
    victims = sorted(run.victims(target), key=lambda process: process.pid)
    if not victims:
        return False
    victim = draw.choice(victims)
    assert victim.pid not in (os.getpid(), os.getppid()), "this is not part of the run"
    try:
        victim.send_signal(signal.SIGKILL)  # psutil sees to it that the number was not given to another process
    except psutil.NoSuchProcess:
        return False
    return True
