"""Descriptors beside the published code (lsds), both on one thread of one core, in one run.

    python benchmarks/descriptors.py             # a minute, nearly all of it the published code's
    python benchmarks/descriptors.py --only 0    # 96 voxels cubed of FIB-25 at full resolution
    python benchmarks/descriptors.py --long      # also 152 voxels cubed: some minutes more

Labels are those of the FIB-25 sample at ../shared/data/fib25, or drawn ones where it is absent. Each case runs in two
processes of its own. Seconds are CPU time of one call, after a first one on little data that compiles or loads: the mean
of ``--repeat`` for ours, one call for the published code.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common import fib25_labels, machine, run_apart

from lsd_experiments.geometry import Box


@dataclass(frozen=True)
class Case:
    """Labels of ``shape`` voxels, every ``every``-th along each axis; descriptors of all, or of the middle ``output`` voxels."""

    name: str
    shape: tuple[int, int, int]
    sigma: float
    voxel_size: tuple[int, int, int]
    downsample: int
    output: tuple[int, int, int] | None = None
    every: int = 1
    is_long: bool = False

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
    Case("the same, many objects", (84, 136, 136), 120, (20, 9, 9), 2, (48, 56, 56), every=2),
    Case("152 voxels cubed", (152, 152, 152), 80, (8, 8, 8), 1, is_long=True),
    Case("the same, sampled", (152, 152, 152), 80, (8, 8, 8), 2, is_long=True),
)


def cut(volume: np.ndarray, case: Case) -> np.ndarray:
    """The labels of ``case``; mirrored where the volume has too few."""
    labels = volume[:: case.every, :: case.every, :: case.every]
    missing = [(0, max(0, wanted - size)) for wanted, size in zip(case.shape, labels.shape, strict=True)]
    labels = np.pad(labels, missing, "symmetric")
    return np.ascontiguousarray(labels[tuple(slice(s) for s in case.shape)])


def ours(case: Case, repeat: int) -> Callable[[], np.ndarray]:
    from lsd_experiments.descriptors import local_shape_descriptors

    labels = cut(fib25_labels()[1], case)

    def call() -> np.ndarray:
        for _ in range(repeat):
            lsds = local_shape_descriptors(labels, case.sigma, case.voxel_size, case.downsample, roi=case.roi)
        return lsds

    local_shape_descriptors(labels[:8, :8, :8], case.sigma, case.voxel_size, case.downsample)
    return call


def published(case: Case) -> Callable[[], np.ndarray]:
    from gunpowder import Roi
    from lsd.train.local_shape_descriptor import LsdExtractor

    labels = cut(fib25_labels()[1], case)
    roi = case.roi and Roi(case.roi.begin, case.roi.shape)
    extractor = LsdExtractor((case.sigma,) * 3, downsample=case.downsample)
    return lambda: extractor.get_descriptors(labels, voxel_size=case.voxel_size, roi=roi)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=int, choices=range(len(CASES)), help="index of a single case")
    parser.add_argument("--long", action="store_true", help="also the cases that take minutes")
    parser.add_argument("--repeat", type=int, default=5, help="calls of our code, of which the mean counts (default: 5)")
    options = parser.parse_args()

    source, volume = fib25_labels()
    print(f"{machine()}, 1 thread; labels: {source}")
    print("| labels | objects | lsds CPU s | ours CPU s | ratio | lsds peak GiB | ours peak GiB | median difference |\n"
          "|---|---|---|---|---|---|---|---|")
    usual = tuple(case for case in CASES if options.long or not case.is_long)
    for case in usual if options.only is None else (CASES[options.only],):
        mine, theirs = run_apart(ours, case, options.repeat), run_apart(published, case)
        seconds, labels = mine.cpu / options.repeat, cut(volume, case)
        shown = labels[case.roi.slices] if case.roi else labels
        difference = np.median(np.abs(mine.result - theirs.result)[:, shown != 0])
        print(f"| {case.name} | {len(np.unique(shown[shown != 0]))} | {theirs.cpu:.2f} | {seconds:.4f} | "
              f"{theirs.cpu / seconds:.0f} | {theirs.peak:.2f} | {mine.peak:.2f} | {difference:.0e} |", flush=True)


if __name__ == "__main__":
    main()
