"""What this machine has for workers: cores, memory, GPUs."""

import os
import subprocess
from pathlib import Path

from lsd_experiments.errors import UserError

CGROUPS = Path("/sys/fs/cgroup")
MEMBER = Path("/proc/self/cgroup")  # of which groups this process is


def cores() -> int:
    """Cores that this process may use, and its group; at least one."""
    return max(1, min([len(os.sched_getaffinity(0)), *map(_quota, _groups("cpu"))]))


def available_memory() -> int:
    """Bytes that can be taken without swapping: what the kernel says is available, or what this process's group may take."""
    values = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    free = int(values["MemAvailable"].split()[0]) * 1024
    return min([free, *map(_left, _groups("memory"))])


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


def _groups(controller: str) -> list[Path]:
    """This process's control groups that may limit ``controller``, from the innermost out, of version 1 or 2.

    In a container /proc may name a group by the host's path, which is not there; the outermost one is the container's then.
    """
    try:
        lines = [line.split(":", 2) for line in MEMBER.read_text().splitlines()]
    except OSError:
        return []
    groups = []
    for _, controllers, path in lines:
        if not controllers:  # version 2
            root = CGROUPS
        elif controller in controllers.split(","):
            root = CGROUPS / controller
        else:
            continue
        inner = root / path.strip().lstrip("/")
        groups += [group for group in (inner, *inner.parents) if root in (group, *group.parents)]
    return groups


def _quota(group: Path) -> int:
    """Cores whose time the processes of ``group`` may take together, rounded down."""
    for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):  # of version 2, of version 1
        try:
            quota, period = map(int, " ".join((group / name).read_text() for name in names).split())
        except (OSError, ValueError):  # "max" where there is no limit
            continue
        if quota > 0:  # -1 where there is no limit
            return quota // period
    return 1 << 30


def _left(group: Path) -> int:
    """Bytes that the processes of ``group`` may still take; what is cached of files can be given up."""
    for limit, used in (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")):
        try:
            left = int((group / limit).read_text()) - int((group / used).read_text())  # "max" where there is no limit
            stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        except (OSError, ValueError):
            continue
        # Of version 1 "total_" counts groups inside of it, too.
        cached = (int(stat.get(f"total_{kind}", stat.get(kind, 0))) for kind in ("inactive_file", "active_file"))
        return max(0, left + sum(cached))
    return 1 << 62
