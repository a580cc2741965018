"""Say what is installed and whether a GPU can be used, then train, predict and segment.

    python -m lsd_experiments.selftest

The commands are those that users type, on a tiny synthetic volume in a temporary directory ($TMPDIR, or /tmp), which is
removed at the end. Exit status: 0 passed, 1 a step failed, 2 there is no room for it, 130 interrupted.
"""

import argparse
import sys
import time
from pathlib import Path

from lsd_experiments import cli
from lsd_experiments.errors import UserError
from lsd_experiments.installation import ROOT
from lsd_experiments.selftest.about import about
from lsd_experiments.selftest.checks import Missing
from lsd_experiments.selftest.gpu import describe_gpu
from lsd_experiments.selftest.running import Runner, stop_requests
from lsd_experiments.selftest.steps import STEPS, Step, prepare
from lsd_experiments.selftest.workplace import environment, temporary_directory


def main() -> None:
    """The command line."""
    parser = cli.parser(__doc__)
    parser.add_argument("--versions", action="store_true", help="only say what is installed, and whether a GPU can be used")
    cli.run(_selftest, parser)


def _selftest(options: argparse.Namespace) -> int:
    with stop_requests() as check:
        print(about(), flush=True)
        runner = Runner(check, shows=options.debug)
        print(describe_gpu(runner), flush=True)
        return 0 if options.versions else _run(runner)


def _run(runner: Runner) -> int:
    """All steps; returns the exit status."""
    start = time.monotonic()
    if not (ROOT / "03_predict" / "run.py").is_file():
        raise UserError(f"{ROOT}: no checkout of the repository, whose commands the self-test runs. Clone it, and run this there")
    with temporary_directory() as work:
        prepare(work)
        if not all(_passes(step, work, runner) for step in STEPS):
            return 1
    print(f"self-test passed in {time.monotonic() - start:.0f} s")
    return 0


def _passes(step: Step, work: Path, runner: Runner) -> bool:
    """Run a step, and say what it made and in which time; whether it made what it should."""
    start = time.monotonic()
    print(f"{step.name:<18}", end="", flush=True)
    ended = runner.run(step.command, work / step.directory, environment(work))
    problem, made = ended.problem, ""
    if not problem:
        try:
            made = step.check(work, ended.said)
        except (Missing, UserError) as error:
            problem = str(error)
    print(f"{time.monotonic() - start:5.1f} s  {'failed' if problem else made}", flush=True)
    if problem:
        lines = [f"    {line}" for line in ended.last_lines]
        print(*lines, f"error: self-test failed: {step.name}: {problem}", sep="\n", file=sys.stderr)
    return not problem


if __name__ == "__main__":
    main()
