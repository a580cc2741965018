"""Wait for the end of a job, and end as it did; run by :mod:`~lsd_experiments.blockwise.cluster`.

There is one of these for each job, so it is a script of its own that imports next to nothing:
``python -I -S jobwait.py KIND JOB STATES_FILE SUBMITTED LINE``, the last a file descriptor of the line to the server.
"""

import json
import os
import sys
import time


def is_over(job: str, states: str, submitted: float) -> bool:
    """Whether ``job`` is not in the file ``states`` any more, and what that holds was asked after it was ``submitted``."""
    try:
        with open(states) as file:  # noqa: PTH123  (pathlib is half of what this process would weigh)
            known = json.load(file)
    except (OSError, ValueError):
        return False
    return bool(known["asked"] > submitted and job not in known["states"])


def result(kind: str, job: str) -> str:
    """How ``job`` ended, in the scheduler's words; empty if well."""
    import subprocess

    if kind == "slurm":
        words = ["scontrol", "show", "job", "--oneliner", job]
    else:
        words = ["bjobs", "-noheader", "-o", "stat exit_code", job]
    for _ in range(10):
        answer = subprocess.run(words, capture_output=True, text=True, check=False)
        if answer.returncode == 0 or "Invalid job id" in answer.stderr or "not found" in answer.stderr:
            break
        time.sleep(15)  # it does not answer now
    if kind != "slurm":
        return "" if answer.stdout.split()[:1] == ["DONE"] else answer.stdout.strip() or "unknown"
    fields = dict(word.split("=", 1) for word in answer.stdout.split() if "=" in word)
    state = fields.get("JobState", "unknown")
    return "" if state == "COMPLETED" else f"{state}, exit code {fields.get('ExitCode', 'unknown')}"


def main() -> None:
    """Wait; this process ends with its parent, too."""
    kind, job, states, submitted, line = sys.argv[1:]
    parent = os.getppid()
    while not is_over(job, states, float(submitted)):
        time.sleep(0.5)
        if os.getppid() != parent:
            sys.exit(1)
    how = result(kind, job)
    if how:
        sys.exit(f"job {job} ended: {how}")
    os.write(int(line), b'{"bye": true}\n')


if __name__ == "__main__":
    main()
