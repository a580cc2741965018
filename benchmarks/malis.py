"""The weights of the MALIS loss at the published output shapes, beside SciPy's spanning tree with pairs counted in Python.

    python benchmarks/malis.py

Labels: a part of ../shared/data/fib25 where that is, else a synthetic volume, with a boundary of one voxel. Affinities: the
true ones and noise, no two alike. One thread; the least of 5
calls, after one that compiles or loads; wall time, and CPU time as the machine may be shared.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lsd_experiments import frameworks
from lsd_experiments.malis import Weights, connected_objects, malis_weights

NEIGHBORHOOD = ((-1, 0, 0), (0, -1, 0), (0, 0, -1))
FIB25 = Path(__file__).resolve().parents[2] / "shared" / "data" / "fib25" / "training_sample2_z0-160.zarr"
SHAPES = {"zebrafinch": (48, 56, 56), "fib25, hemi": (92, 92, 92)}


def make_labels(shape: tuple[int, ...]) -> tuple[str, np.ndarray]:
    frameworks.import_gunpowder()
    from lsd_experiments.training.boundaries import grow_boundary

    if FIB25.exists():
        from lsd_experiments.arrays import open_volume
        from lsd_experiments.geometry import Box

        name, whole = "FIB-25", open_volume(str(FIB25), "volumes/labels/neuron_ids").read(Box.of_shape(shape, (20, 30, 30)))
    else:
        from lsd_experiments.synthetic import synthesize

        name, whole = "synthetic", synthesize(shape, (8, 8, 8), seed=0).labels
    whole = whole.astype(np.uint64)
    return name, connected_objects(grow_boundary(whole, np.ones(shape, np.uint8), (0, 1, 2)))


def make_affinities(labels: np.ndarray, noise: float = 1.5) -> np.ndarray:
    true = np.zeros((3, *labels.shape))
    for channel, axis in enumerate(range(3)):
        a, b = np.moveaxis(labels, axis, 0)[1:], np.moveaxis(labels, axis, 0)[:-1]
        np.moveaxis(true[channel], axis, 0)[1:] = (a == b) & (a > 0)
    logits = true * 6 - 3 + np.random.default_rng(0).normal(0, noise, true.shape)
    ranks = np.argsort(np.argsort(logits, axis=None))  # no two alike: of equal ones, SciPy might take others
    return ((ranks + 0.5) / ranks.size).astype(np.float32).reshape(true.shape)


def by_scipy(affs: np.ndarray, labels: np.ndarray) -> Weights:
    """Edges by descending affinity from SciPy's tree; union-find and counts of labels in Python."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import minimum_spanning_tree

    numbers = np.arange(labels.size).reshape(labels.shape)
    flat = labels.ravel()
    passes = []
    for positive in (True, False):
        ends, edges, costs = [], [], []
        for channel, axis in enumerate(range(3)):
            here, there = np.moveaxis(numbers, axis, 0)[1:].ravel(), np.moveaxis(numbers, axis, 0)[:-1].ravel()
            inside = (flat[here] == flat[there]) & (flat[here] > 0)
            values = affs[channel].ravel()[here].astype(float)
            values = np.where(inside, values, 0) if positive else np.where(inside, 1, values)
            ends.append((here, there))
            edges.append(channel * labels.size + here)
            costs.append(1.5 - values)  # above 0, as SciPy takes 0 for no edge
        here, there = (np.concatenate(side) for side in zip(*ends, strict=True))
        number = dict(zip(zip(here.tolist(), there.tolist(), strict=True), np.concatenate(edges).tolist(), strict=True))
        tree = minimum_spanning_tree(coo_array((np.concatenate(costs), (here, there)), shape=(labels.size,) * 2)).tocoo()
        pairs = np.zeros(affs.size)
        parent, counts = list(range(labels.size)), [Counter({v: 1}) if v else Counter() for v in flat.tolist()]
        for i in np.argsort(tree.data, kind="stable").tolist():
            u, v = int(tree.row[i]), int(tree.col[i])
            a, b = (_root(parent, end) for end in (u, v))
            a, b = (b, a) if len(counts[a]) < len(counts[b]) else (a, b)
            same = sum(count * counts[a][label] for label, count in counts[b].items())
            if (flat[u] == flat[v] != 0) == positive:
                pairs[number[u, v]] = same if positive else counts[a].total() * counts[b].total() - same
            counts[a].update(counts[b])
            parent[b], counts[b] = a, Counter()
        passes.append(pairs.reshape(affs.shape) / (pairs.sum() or 1))
    return Weights(*passes)


def _root(parent: list[int], voxel: int) -> int:
    while parent[voxel] != voxel:
        parent[voxel] = parent[parent[voxel]]
        voxel = parent[voxel]
    return voxel


def timed(call: Callable[[], Weights], calls: int) -> tuple[float, float, Weights]:
    wall, cpu = [], []
    for _ in range(calls):
        starts = time.perf_counter(), time.process_time()
        result = call()
        wall.append(time.perf_counter() - starts[0])
        cpu.append(time.process_time() - starts[1])
    return min(wall), min(cpu), result


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    print("| output | labels, objects | lsd_experiments: wall, CPU | SciPy and Python: wall, CPU | largest difference |")
    print("|---" * 5 + "|")
    for name, shape in SHAPES.items():
        source, labels = make_labels(shape)
        affs = make_affinities(labels)
        malis_weights(affs, labels, NEIGHBORHOOD)
        wall, cpu, ours = timed(lambda affs=affs, labels=labels: malis_weights(affs, labels, NEIGHBORHOOD), 5)
        their_wall, their_cpu, theirs = timed(lambda affs=affs, labels=labels: by_scipy(affs, labels), 1)
        apart = max(float(np.abs(a - b).max()) for a, b in zip(ours, theirs, strict=True))
        print(f"| {name}: {' x '.join(map(str, shape))} | {source}, {labels.max()} | {wall:.2f} s, {cpu:.2f} s | "
              f"{their_wall:.1f} s, {their_cpu:.1f} s | {apart:.1g} |", flush=True)


if __name__ == "__main__":
    main()
