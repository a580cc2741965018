"""Wait for the end of a job, and end as it did; run by :mod:`~lsd_experiments.blockwise.cluster`.

There is one of these for each job, so it is a script of its own that imports next to nothing:
``python -I -S job_wait.py KIND JOB STATES_FILE SUBMITTED``.
"""

import os
import sys
import time


def is_over(job: str, states: bytes, submitted: float) -> bool:
    """Whether ``job`` is not in ``states`` any more, and that was asked for after it was ``submitted``.

    :param states: what :mod:`~lsd_experiments.blockwise.cluster` writes, ``{"asked": TIME, "states": {"JOB": "STATE", ...}}``.
        Each of many jobs has a process that looks here, so it is searched, not parsed
    """
    asked = states.partition(b",")[0].rpartition(b":")[2]
    return bool(asked) and float(asked) > submitted and f'"{job}":'.encode() not in states


def pause(size: int) -> float:
    """Seconds between two looks at states of ``size`` bytes: the more jobs, the longer, so that all looks cost as much."""
    return min(30.0, 0.5 + size / 10_000)


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
    kind, job, states, submitted = sys.argv[1:]
    parent, seen, size = os.getppid(), 0, 0
    while True:
        next_look = time.monotonic() + pause(size)
        while time.monotonic() < next_look:
            time.sleep(0.5)
            if os.getppid() != parent:
                sys.exit(1)
        try:
            with open(states, "rb") as file:  # noqa: PTH123  (pathlib is half of what this process would weigh)
                status = os.fstat(file.fileno())
                if status.st_mtime_ns == seen:
                    continue
                seen, size = status.st_mtime_ns, status.st_size
                if is_over(job, file.read(), float(submitted)):
                    break
        except OSError:
            continue
    how = result(kind, job)
    if how:
        sys.exit(f"job {job} ended: {how}")


if __name__ == "__main__":
    main()
