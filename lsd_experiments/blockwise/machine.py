"""What this machine has for workers: cores, memory, GPUs."""

import os
import subprocess
from pathlib import Path

from lsd_experiments.errors import UserError

CGROUPS = Path("/sys/fs/cgroup")


def cores() -> int:
    """Cores that this process may use, and its group; at least one."""
    return max(1, min([len(os.sched_getaffinity(0)), *map(_quota, _groups())]))


def available_memory() -> int:
    """Bytes that can be taken without swapping: what the kernel says is available, or what this process's group may take."""
    values = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    free = int(values["MemAvailable"].split()[0]) * 1024
    return min([free, *map(_left, _groups())])


def gpu_ids() -> list[str]:
    """The GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them; all of the machine if that is not set."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name.strip() for name in visible.split(",") if name.strip() not in ("", "-1")]
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line.split()[1].rstrip(":") for line in listed.stdout.splitlines() if line.startswith("GPU ")]


def gpu_slots(gpus: int) -> list[str]:
    """Values of ``CUDA_VISIBLE_DEVICES`` for workers of ``gpus`` GPUs each; no GPU is in two of them.

    :raises UserError: if not even one worker finds its GPUs
    """
    ids = gpu_ids()
    if len(ids) < gpus:
        where = "CUDA_VISIBLE_DEVICES" if "CUDA_VISIBLE_DEVICES" in os.environ else "nvidia-smi -L"
        raise UserError(f"gpus = {gpus} per worker, but {where} names {len(ids)} on this machine. "
                        "Set gpus in [workers] to 0, or run where there are more")
    return [",".join(ids[first:first + gpus]) for first in range(0, len(ids) - gpus + 1, gpus)]


def _groups() -> list[Path]:
    """This process's control groups (version 2), from the innermost out; those of version 1 are not looked at."""
    try:
        line = next(line for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::"))
    except (OSError, StopIteration):
        return []
    inner = CGROUPS / line.removeprefix("0::").strip().lstrip("/")
    return [group for group in (inner, *inner.parents) if CGROUPS in (group, *group.parents)]


def _quota(group: Path) -> int:
    """Cores whose time the processes of ``group`` may take together, rounded down."""
    try:
        quota, period = map(int, (group / "cpu.max").read_text().split())  # "max" where there is no limit
    except (OSError, ValueError):
        return 1 << 30
    return quota // period


def _left(group: Path) -> int:
    """Bytes that the processes of ``group`` may still take; what is cached of files can be given up."""
    try:
        limit = int((group / "memory.max").read_text())  # "max" where there is no limit
        used = int((group / "memory.current").read_text())
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return 1 << 62
    return max(0, limit - used + int(stat.get("inactive_file", 0)) + int(stat.get("active_file", 0)))
