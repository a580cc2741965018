"""Evaluation against its peers, and of a volume that is larger than memory should be.

    python benchmarks/evaluation.py                     # 25 Mvoxels in memory, 500 Mvoxels from zarr
    python benchmarks/evaluation.py --megavoxels 0      # in memory only

Each candidate runs in a process of its own, on one core; peak memory is that of the process, imports and the two arrays
(16 bytes per voxel) included. Time is that of the call, after a first one on a few voxels. The volumes are copies of a
synthetic one: ground truth against its fragments in cubes of 25 voxels, moved by 3 voxels.
"""

import argparse
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lsd_experiments.arrays import create_volume, open_volume
from lsd_experiments.evaluation import evaluate_segmentation, evaluate_volumes
from lsd_experiments.geometry import Box
from lsd_experiments.synthetic import synthesize

TILE = (100, 250, 250)
VOXEL_SIZE, OFFSET = (20, 9, 9), (400, 900, 1800)


def make_tile(path: str) -> None:
    labels = synthesize(TILE, VOXEL_SIZE, seed=0).labels
    cells = sum((index // 25) * weight for index, weight in zip(np.indices(TILE), (100, 10, 1), strict=True))
    np.savez(path, labels=labels, fragments=np.roll(labels, 3, (1, 2)) + cells.astype(np.uint64) * np.uint64(1000))


def in_memory(name: str, tile: str, copies: int) -> tuple[float, dict[str, float]]:
    with np.load(tile, allow_pickle=False) as arrays:
        labels, fragments = (
            np.concatenate([arrays[key] + np.uint64(i * 10**6) * (arrays[key] > 0) for i in range(copies)])
            for key in ("labels", "fragments"))
    call = CANDIDATES[name]
    call(fragments[:1, :10, :10].copy(), labels[:1, :10, :10].copy())
    start = time.perf_counter()
    scores = call(fragments, labels)
    return time.perf_counter() - start, scores


def by_waterz(segmentation: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    import waterz

    return dict(waterz.evaluate(segmentation, labels))


def by_skimage(segmentation: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    from skimage.metrics import adapted_rand_error, variation_of_information

    segmentation, labels = segmentation.view(np.int64), labels.view(np.int64)
    split, merge = variation_of_information(labels, segmentation, ignore_labels=[0])
    return {"voi_split": float(split), "voi_merge": float(merge),
            "adapted_rand_error": float(adapted_rand_error(labels, segmentation)[0])}


CANDIDATES = {"ours": evaluate_segmentation, "waterz": by_waterz, "scikit-image": by_skimage}
SHOWN = ("voi_split", "voi_merge", "adapted_rand_error")


def write_volumes(tile: str, container: str, megavoxels: int) -> None:
    with np.load(tile, allow_pickle=False) as arrays:
        copies = max(1, round(megavoxels * 1e6 / np.prod(TILE)))
        columns = max(1, round(copies**0.5))
        rows = -(-copies // columns)
        shape = (TILE[0], rows * TILE[1], columns * TILE[2])
        for key in ("labels", "fragments"):
            volume = create_volume(container, key, shape, VOXEL_SIZE, OFFSET, np.uint64, chunks=(50, 125, 125))
            for i in range(rows * columns):
                values = arrays[key] + np.uint64(i * 10**6) * (arrays[key] > 0)
                volume.write(Box.of_shape(TILE, (0, i // columns * TILE[1], i % columns * TILE[2])), values)


def from_zarr(container: str) -> tuple[float, dict[str, float]]:
    evaluate_segmentation(np.ones(9, np.uint64), np.ones(9, np.uint64))
    start = time.perf_counter()
    scores = evaluate_volumes(open_volume(container, "fragments"), open_volume(container, "labels"))
    return time.perf_counter() - start, scores


def apart(function: Callable[..., None], *arguments: object) -> None:
    """Run ``function`` in a process of its own: a child's peak memory starts at what its parent had."""
    process = multiprocessing.get_context("spawn").Process(target=function, args=arguments)
    process.start()
    process.join()
    assert process.exitcode == 0, f"{function.__name__} failed"


def measured(function: Callable[..., object], *arguments: object) -> tuple[float, float, dict[str, float]]:
    """Seconds, peak GiB and scores of ``function`` in a process of its own."""
    context = multiprocessing.get_context("spawn")
    parent, child = context.Pipe()
    process = context.Process(target=_measure, args=(child, function, arguments))
    process.start()
    child.close()
    result: tuple[float, float, dict[str, float]] = parent.recv()
    process.join()
    return result


def _measure(pipe, function, arguments) -> None:  # type: ignore[no-untyped-def]
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # waterz prints its scores
    seconds, scores = function(*arguments)
    pipe.send((seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, scores))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megavoxels", type=int, default=500,
                        help="of the volume on disk; 0 leaves it out (default: 500)")
    parser.add_argument("--copies", type=int, default=4, help="of 6.25 Mvoxels in memory (default: 4)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        tile = f"{directory}/tile.npz"
        apart(make_tile, tile)
        print(f"in memory, {options.copies * np.prod(TILE) / 1e6:.0f} Mvoxels")
        results = {name: measured(in_memory, name, tile, options.copies) for name in CANDIDATES}
        for name, (seconds, peak, scores) in results.items():
            print(f"  {name:13}{seconds:8.2f} s {peak:6.2f} GiB  {seconds / results['ours'][0]:6.1f} x ours  "
                  + "  ".join(f"{key} {scores[key]:.6f}" for key in SHOWN if key in scores))
        if options.megavoxels:
            apart(write_volumes, tile, f"{directory}/volumes.zarr", options.megavoxels)
            voxels = np.prod(open_volume(f"{directory}/volumes.zarr", "labels").shape)
            seconds, peak, scores = measured(from_zarr, f"{directory}/volumes.zarr")
            print(f"from zarr, {voxels / 1e6:.0f} Mvoxels, {scores['segments']} fragments, {scores['labels']} objects\n"
                  f"  ours         {seconds:8.2f} s {peak:6.2f} GiB")


if __name__ == "__main__":
    main()
