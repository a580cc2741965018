"""Evaluation against its peers, in memory, and of a volume on disk that is larger than memory should be.

    python benchmarks/evaluation.py                     # 25 Mvoxels in memory, 100 Mvoxels from zarr: a minute
    python benchmarks/evaluation.py --megavoxels 500    # five minutes, 9 GB of memory

Each candidate runs in a process of its own, in one thread. The volumes are copies of a synthetic one: ground truth against its
fragments in cubes of 25 voxels, moved by 3 voxels. Of the volume on disk, ours reads block by block; waterz, which takes
arrays, reads it whole before. scikit-image is left out there: it would take 17 GB. Scores must be equal.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common import HEADER, machine, rows, run_apart, take_turns

from lsd_experiments.arrays import create_volume, open_volume
from lsd_experiments.evaluation import evaluate_segmentation, evaluate_volumes
from lsd_experiments.geometry import Box
from lsd_experiments.synthetic import synthesize

Scores = dict[str, float]
TILE = (100, 250, 250)
VOXEL_SIZE, OFFSET = (20, 9, 9), (400, 900, 1800)


def make_tile(path: str) -> Callable[[], None]:
    return lambda: _make_tile(path)


def _make_tile(path: str) -> None:
    labels = synthesize(TILE, VOXEL_SIZE, seed=0).labels
    cells = sum((index // 25) * weight for index, weight in zip(np.indices(TILE), (100, 10, 1), strict=True))
    np.savez(path, labels=labels, fragments=np.roll(labels, 3, (1, 2)) + cells.astype(np.uint64) * np.uint64(1000))


def in_memory(evaluate: Callable[[np.ndarray, np.ndarray], Scores], tile: str, copies: int) -> Callable[[], Scores]:
    with np.load(tile, allow_pickle=False) as arrays:
        labels, fragments = (
            np.concatenate([arrays[key] + np.uint64(i * 10**6) * (arrays[key] > 0) for i in range(copies)])
            for key in ("labels", "fragments"))
    evaluate(fragments[:1, :10, :10].copy(), labels[:1, :10, :10].copy())
    return lambda: evaluate(fragments, labels)


def by_waterz(segmentation: np.ndarray, labels: np.ndarray) -> Scores:
    import waterz

    return dict(waterz.evaluate(segmentation, labels))


def by_skimage(segmentation: np.ndarray, labels: np.ndarray) -> Scores:
    from skimage.metrics import adapted_rand_error, variation_of_information

    segmentation, labels = segmentation.view(np.int64), labels.view(np.int64)
    split, merge = variation_of_information(labels, segmentation, ignore_labels=[0])
    return {"voi_split": float(split), "voi_merge": float(merge),
            "adapted_rand_error": float(adapted_rand_error(labels, segmentation)[0])}


CANDIDATES = {"ours": evaluate_segmentation, "waterz": by_waterz, "scikit-image": by_skimage}
SHOWN = ("voi_split", "voi_merge", "adapted_rand_error")


def write_volumes(tile: str, container: str, megavoxels: int) -> Callable[[], None]:
    return lambda: _write_volumes(tile, container, megavoxels)


def _write_volumes(tile: str, container: str, megavoxels: int) -> None:
    with np.load(tile, allow_pickle=False) as arrays:
        copies = max(1, round(megavoxels * 1e6 / np.prod(TILE)))
        columns = max(1, round(copies**0.5))
        lines = -(-copies // columns)
        shape = (TILE[0], lines * TILE[1], columns * TILE[2])
        for key in ("labels", "fragments"):
            volume = create_volume(container, key, shape, VOXEL_SIZE, OFFSET, np.uint64, chunks=(50, 125, 125))
            for i in range(lines * columns):
                values = arrays[key] + np.uint64(i * 10**6) * (arrays[key] > 0)
                volume.write(Box.of_shape(TILE, (0, i // columns * TILE[1], i % columns * TILE[2])), values)


def from_zarr(container: str) -> Callable[[], Scores]:
    evaluate_segmentation(np.ones(9, np.uint64), np.ones(9, np.uint64))
    return lambda: evaluate_volumes(open_volume(container, "fragments"), open_volume(container, "labels"))


def from_zarr_by_waterz(container: str) -> Callable[[], Scores]:
    import waterz  # noqa: F401

    return lambda: by_waterz(open_volume(container, "fragments").read(), open_volume(container, "labels").read())


def check_equal(results: list[Scores]) -> str:
    """The scores in words; asserts that those that all give are equal."""
    for key in SHOWN:
        values = [scores[key] for scores in results if key in scores]
        assert np.ptp(values) < 1e-6, f"{key}: {values}"
    return "  ".join(f"{key} {results[0][key]:.6f}" for key in SHOWN)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megavoxels", type=int, default=100,
                        help="of the volume on disk; 0 leaves it out (default: 100)")
    parser.add_argument("--copies", type=int, default=4, help="of 6.25 Mvoxels in memory (default: 4)")
    parser.add_argument("--repeat", type=int, default=3, help="runs in memory, of which the best counts (default: 3)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        tile = f"{directory}/tile.npz"
        run_apart(make_tile, tile)
        print(f"{machine()}\none thread each\n\n{HEADER}")
        runs = take_turns({name: (in_memory, call, tile, options.copies) for name, call in CANDIDATES.items()}, options.repeat)
        print(rows(f"scores, {options.copies * np.prod(TILE) / 1e6:.0f} Mvoxels in memory", runs), flush=True)
        notes = ["in memory: " + check_equal([run.result for run in runs.values()])]
        if options.megavoxels:
            container = f"{directory}/volumes.zarr"
            run_apart(write_volumes, tile, container, options.megavoxels)
            voxels = np.prod(open_volume(container, "labels").shape)
            runs = take_turns({"ours": (from_zarr, container), "waterz, all read": (from_zarr_by_waterz, container)}, 1)
            print(rows(f"scores, {voxels / 1e6:.0f} Mvoxels from zarr", runs))
            scores = runs["ours"].result
            notes.append(f"from zarr, {scores['segments']} fragments, {scores['labels']} objects: "
                         + check_equal([run.result for run in runs.values()]))
    print("", *notes, sep="\n")


if __name__ == "__main__":
    main()
