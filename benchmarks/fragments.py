"""Fragments beside the published algorithm in SciPy and mahotas, on one thread each.

    python benchmarks/fragments.py                              # 80 x 250 x 250 voxels: a minute
    python benchmarks/fragments.py --shape 160 250 250

Affinities are those of the FIB-25 sample's labels (of drawn ones where it is absent), made to look predicted: boundaries a
voxel thicker, smoothed, noisy. Fragments are made in 3-D, and in each section by itself. Each candidate gets uint8
affinities [3, z, y, x], read from zarr before the clock starts as the stage reads them (what was allocated before decides how
often memory is given back and taken again), and returns uint64 fragments.

Ours twice: with ``parity``, which does what is published, and as it is by default, where background far from all foreground is
no fragment. The published watershed sorts floats, square roots of whole numbers, so that its ties are those of ours. Compared
is the partition, not numbers: the share of voxels in other fragments than with ``parity``, which should be 0.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common import HEADER, affinities_like_predicted, fib25_labels, machine, rows, take_turns

from lsd_experiments.arrays import create_volume, open_volume


def ours(path: str, in_sections: bool, parity: bool) -> Callable[[], np.ndarray]:
    from lsd_experiments.fragments import watershed_fragments

    affs = open_volume(path, "affs").read()
    watershed_fragments(affs[:, :4, :8, :8], in_sections)
    return lambda: watershed_fragments(affs, in_sections, parity=parity)


def published(path: str, in_sections: bool) -> Callable[[], np.ndarray]:
    affs = open_volume(path, "affs").read()
    _published(affs[:, :4, :8, :8], in_sections)
    return lambda: _published(affs, in_sections)


def _published(affs: np.ndarray, in_sections: bool) -> np.ndarray:
    """As lsd.post.fragments does it, which does not import under current SciPy."""
    from scipy.ndimage import distance_transform_edt

    values = affs.astype(np.float32)
    if not in_sections:
        return _from_distance(distance_transform_edt(np.mean(values, axis=0) > 127.5), 0)[0]
    mean = 0.5 * (values[1] + values[2])
    fragments = np.zeros(mean.shape, np.uint64)
    count = 0
    for z in range(len(mean)):
        fragments[z], count = _from_distance(distance_transform_edt(mean[z] > 127.5), count)
    return fragments


def _from_distance(distance: np.ndarray, before: int) -> tuple[np.ndarray, int]:
    import mahotas
    from scipy.ndimage import maximum_filter

    seeds, count = mahotas.label(maximum_filter(distance, 10) == distance)
    seeds[seeds != 0] += before
    return mahotas.cwatershed(distance.max() - distance, seeds).astype(np.uint64), before + count


def share_apart(one: np.ndarray, other: np.ndarray) -> float:
    """The share of voxels that are not in the fragment of ``other`` that most of their fragment of ``one`` is in."""
    pairs, counts = np.unique(one.ravel() << np.uint64(32) | other.ravel(), return_counts=True)
    largest = np.zeros(int(one.max()) + 1, np.int64)
    np.maximum.at(largest, pairs >> np.uint64(32), counts)
    return 1 - float(largest.sum()) / one.size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", type=int, nargs=3, default=(80, 250, 250), help="at most 160 250 250 (default: 80 250 250)")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each, of which the best counts (default: 3)")
    options = parser.parse_args()
    source, labels = fib25_labels()
    affs = affinities_like_predicted(labels[tuple(slice(size) for size in options.shape)])
    shape = " x ".join(map(str, affs.shape[1:]))
    print(f"{machine()}\naffinities of: {source}, {shape} voxels; one thread each\n\n{HEADER}")
    compared = []
    with tempfile.TemporaryDirectory() as directory:
        path = f"{directory}/affs.zarr"
        volume = create_volume(path, "affs", affs.shape[1:], (8, 8, 8), (0, 0, 0), np.uint8, chunks=(80, 125, 125), channels=3)
        volume.write(volume.box, affs)
        for name, in_sections in {"3-D": False, "per section": True}.items():
            runs = take_turns({"ours": (ours, path, in_sections, False), "ours, parity": (ours, path, in_sections, True),
                               "SciPy + mahotas": (published, path, in_sections)}, options.repeat)
            print(rows(f"fragments, {name}", runs), flush=True)
            mine, theirs = runs["ours, parity"].result, runs["SciPy + mahotas"].result
            apart = max(share_apart(mine, theirs), share_apart(theirs, mine))
            compared.append(f"{name}: {int(mine.max())} and {int(theirs.max())} fragments, {apart:.1e} of the voxels in others")
            assert apart < 1e-3, compared[-1]
    print("", *compared, sep="\n")


if __name__ == "__main__":
    main()
