"""Descriptors beside the published code (lsds), both on one thread of one core, in one run.

    python benchmarks/descriptors.py             # all cases, a few minutes, nearly all of them the published code's
    python benchmarks/descriptors.py --only 0    # 96 voxels cubed of FIB-25 at full resolution

Labels are those of the FIB-25 sample at ../shared/data/fib25, or drawn ones where it is absent. Seconds are CPU time of
one call, after a first one that compiles or loads: the median of ``--repeat`` for ours, of one call for the published
code.
"""

import os

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")

import argparse
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lsd_experiments.descriptors import local_shape_descriptors
from lsd_experiments.geometry import Box

FIB25 = Path(__file__).resolve().parents[2] / "shared/data/fib25/training_sample2_z0-160.zarr"


@dataclass(frozen=True)
class Case:
    """Labels of ``shape`` voxels; descriptors of all of them, or of the middle ``output`` voxels."""

    name: str
    shape: tuple[int, int, int]
    sigma: float
    voxel_size: tuple[int, int, int]
    downsample: int
    output: tuple[int, int, int] | None = None

    @property
    def roi(self) -> Box | None:
        """The middle of the labels."""
        if self.output is None:
            return None
        return Box.of_shape(self.output, [(s - o) // 2 for s, o in zip(self.shape, self.output, strict=True)])


CASES = (
    Case("96 voxels cubed", (96, 96, 96), 80, (8, 8, 8), 1),
    Case("the same, sampled", (96, 96, 96), 80, (8, 8, 8), 2),
    # batches as the networks train on them: output grown by 3 sigma
    Case("fib25 training batch", (152, 152, 152), 80, (8, 8, 8), 2, (92, 92, 92)),
    Case("zebrafinch training batch", (84, 136, 136), 120, (20, 9, 9), 2, (48, 56, 56)),
)


def read_labels() -> tuple[str, np.ndarray]:
    if FIB25.exists():
        import zarr

        return "FIB-25 sample", zarr.open(str(FIB25), "r")["volumes/labels/neuron_ids"][:]
    from lsd_experiments.synthetic import synthesize

    return "drawn", synthesize((160, 160, 160), (8, 8, 8), seed=0).labels


def ours(case: Case, labels: np.ndarray) -> np.ndarray:
    return local_shape_descriptors(labels, case.sigma, case.voxel_size, case.downsample, roi=case.roi)


def published(case: Case, labels: np.ndarray) -> np.ndarray:
    from gunpowder import Roi
    from lsd.train.local_shape_descriptor import LsdExtractor

    roi = case.roi and Roi(case.roi.begin, case.roi.shape)
    extractor = LsdExtractor((case.sigma,) * 3, downsample=case.downsample)
    return extractor.get_descriptors(labels, voxel_size=case.voxel_size, roi=roi)


def timed(call: Callable[[Case, np.ndarray], np.ndarray], case: Case, labels: np.ndarray,
          repeat: int) -> tuple[float, np.ndarray]:
    seconds = []
    for _ in range(repeat):
        start = time.process_time()
        lsds = call(case, labels)
        seconds.append(time.process_time() - start)
    return float(np.median(seconds)), lsds


def machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    vectors = [name for name in ("avx512f", "avx2", "asimd") if any(name in line.split() for line in lines)]
    return f"{names[0] if names else platform.processor()} ({', '.join(vectors[:1]) or platform.machine()})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=int, choices=range(len(CASES)), help="index of a single case")
    parser.add_argument("--repeat", type=int, default=5, help="calls of our code (default: 5)")
    arguments = parser.parse_args()

    core = min(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    source, volume = read_labels()
    warm = Case("warm up", (8, 8, 8), 80, (8, 8, 8), 1)
    start = time.perf_counter()
    ours(warm, volume[:8, :8, :8])
    print(f"machine: {machine()}, {os.cpu_count()} cores, of which one; labels: {source}; "
          f"first call: {time.perf_counter() - start:.1f} s")
    published(warm, volume[:8, :8, :8])
    print(f"{'':28}{'objects':>8}{'lsds s':>9}{'ours s':>9}{'ratio':>7}{'median difference':>19}")
    for case in CASES if arguments.only is None else (CASES[arguments.only],):
        labels = np.ascontiguousarray(volume[tuple(slice(s) for s in case.shape)])
        seconds, lsds = timed(ours, case, labels, arguments.repeat)
        theirs, expected = timed(published, case, labels, 1)
        shown = labels[case.roi.slices] if case.roi else labels
        difference = np.median(np.abs(lsds - expected)[:, shown != 0])
        print(f"{case.name:28}{len(np.unique(shown[shown != 0])):8}{theirs:9.2f}{seconds:9.4f}{theirs / seconds:7.0f}"
              f"{difference:19.1e}", flush=True)


if __name__ == "__main__":
    main()
