"""What the benchmarks share: candidates in processes of their own, one after the other, and the table of what came out.

A candidate is a function at the top of its script: given its arguments it gets ready (imports, input, a first call on little
data, so that all is compiled) and returns what is measured, a function without arguments. Each run is a process of its own.
Candidates take turns, and the least of each one's runs counts: other load on the machine only ever adds. ``cpu`` is
the process's user and system time, which other load disturbs less than the clock, and which is what to compare where
all run in one thread; ``peak`` is its greatest resident memory while the clock ran, imports and input included, ``held``
its resident memory just before.
"""

import contextlib
import multiprocessing
import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

FIB25 = Path(__file__).resolve().parents[2] / "shared/data/fib25/training_sample2_z0-160.zarr"
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")

Candidate = Callable[..., Callable[[], Any]]


@dataclass(frozen=True)
class Run:
    """Seconds by the clock and of CPU time, memory in GiB, and what was returned."""

    wall: float
    cpu: float
    peak: float
    held: float
    result: Any = None

    @property
    def added(self) -> float:
        """Memory in GiB that it took beyond its imports and its input."""
        return max(self.peak - self.held, 1e-4)


def run_apart(candidate: Candidate, *arguments: object, threads: int = 1) -> Run:
    """One run of a candidate in a new process; libraries that have threads of their own take ``threads``."""
    os.environ.update(dict.fromkeys(THREADS, str(threads)))  # of the process that starts
    run: Run = receive(_measure, candidate, arguments)
    return run


def receive(measure: Callable[..., None], function: Callable[..., Any], arguments: tuple[object, ...]) -> Any:
    """What ``measure(pipe, function, arguments)`` sends, as a new process: its peak memory is not that of this one."""
    context = multiprocessing.get_context("spawn")
    parent, child = context.Pipe()
    process = context.Process(target=measure, args=(child, function, arguments))
    process.start()
    child.close()
    try:
        return parent.recv()
    except EOFError:
        raise SystemExit(f"{function.__name__} failed, see above") from None
    finally:
        process.join()


def take_turns(candidates: Mapping[str, tuple[Any, ...]], repeat: int, threads: int = 1) -> dict[str, Run]:
    """The best of ``repeat`` runs of each candidate: (function, argument, ...) by name; results are those of the last."""
    runs: dict[str, list[Run]] = {name: [] for name in candidates}
    for _ in range(repeat):
        for name, (candidate, *arguments) in candidates.items():
            runs[name].append(run_apart(candidate, *arguments, threads=threads))
    return {name: Run(*(min(getattr(run, key) for run in those) for key in ("wall", "cpu", "peak", "held")),
                      those[-1].result) for name, those in runs.items()}


def _measure(pipe, candidate, arguments) -> None:  # type: ignore[no-untyped-def]
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # some peers print
    call = candidate(*arguments)
    forget_peak()
    held = memory("VmRSS")
    cpu, wall = time.process_time(), time.perf_counter()
    result = call()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    pipe.send(Run(wall, cpu, memory("VmHWM"), held, result))


def forget_peak() -> None:
    """Let the kernel count this process's peak memory anew, if it is allowed here; see proc(5), clear_refs."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def memory(key: str) -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) / 2**20


def machine() -> str:
    """One line: when and on what this ran, and what else ran there."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    vectors = next((name for name in ("avx512f", "avx2", "asimd") if any(name in line.split() for line in lines)), "")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (f"{date.today()}, {os.cpu_count()} cores ({name}{', ' if vectors else ''}{vectors}), {memory:.0f} GiB, "
            f"load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}")


def copy_bandwidth(megabytes: int = 512) -> float:
    """GB/s that one thread copies at, bytes read and bytes written counted: what no loop over memory can exceed by much."""
    source = np.ones(megabytes * 2**17)
    target = np.zeros_like(source)
    seconds = []
    for _ in range(7):
        begin = time.process_time()
        np.copyto(target, source)
        seconds.append(time.process_time() - begin)
    return 2 * source.nbytes / min(seconds) / 1e9


HEADER = ("| work | candidate | s | CPU s | ratio (CPU) | peak GiB | beyond input GiB |\n"
          "|---|---|---|---|---|---|---|")


def rows(work: str, runs: Mapping[str, Run]) -> str:
    """A line of a Markdown table for each of ``runs``; ratios are to the first, ours."""
    first = next(iter(runs.values()))
    return "\n".join(f"| {work} | {name} | {run.wall:.2f} | {run.cpu:.2f} | {run.cpu / first.cpu:.1f} | {run.peak:.2f} | "
                     f"{run.added:.3f} |" for name, run in runs.items())


def fib25_labels() -> tuple[str, np.ndarray]:
    """Where from, and labels [z, y, x] of 160 x 250 x 250 voxels: those of the FIB-25 sample, or drawn ones."""
    if FIB25.exists():
        import zarr

        return "FIB-25 sample", zarr.open(str(FIB25), "r")["volumes/labels/neuron_ids"][:]
    from lsd_experiments.synthetic import synthesize

    return "drawn labels", synthesize((160, 250, 250), (8, 8, 8), seed=0).labels


def affinities_like_predicted(labels: np.ndarray) -> np.ndarray:
    """[3, z, y, x] uint8: affinities of ``labels`` whose boundaries are a voxel thicker, smoothed, with smooth noise."""
    from scipy.ndimage import gaussian_filter

    labels = _thicken_boundaries(labels)
    random = np.random.default_rng(0)
    affs = np.zeros((3, *labels.shape), np.uint8)
    for axis, channel in enumerate(affs):
        lower, upper = (tuple(part if a == axis else slice(None) for a in range(3)) for part in (slice(-1), slice(1, None)))
        ideal = np.zeros(labels.shape, np.float32)
        ideal[upper] = (labels[upper] == labels[lower]) & (labels[upper] > 0)
        noise = gaussian_filter(random.standard_normal(labels.shape, np.float32), 1.5)
        channel[:] = np.clip(255 * (gaussian_filter(ideal, 1) + noise * (0.2 / noise.std())), 0, 255)
    return affs


def _thicken_boundaries(labels: np.ndarray) -> np.ndarray:
    inside = labels > 0
    for axis in range(3):
        lower, upper = (tuple(part if a == axis else slice(None) for a in range(3)) for part in (slice(-1), slice(1, None)))
        differ = labels[upper] != labels[lower]
        inside[lower] &= ~differ
        inside[upper] &= ~differ
    return np.where(inside, labels, 0)
