"""Relabelling a volume through a look-up table of ten million fragments, on one thread.

    python benchmarks/extraction.py                         # a gigavoxel: a minute or two, 3 GB of memory
    python benchmarks/extraction.py --megavoxels 200

Blocks are 125 voxels cubed, relabelled one after the other as the stage does it between reading and writing. They are 32
different ones, over and over: fragments of the FIB-25 sample's labels (see fragments.py; made per section, so that there are
many), with ids from places all over the table. Ids are 1 to 10 million, so that an array can be looked up by id: what numpy's
fancy indexing and fastremap.remap_from_array need. Ours, and what it replaced (unique ids, then a search), find ids in a sorted
table, which is all that there is of real ids: they have gaps.

"copy" is what memory permits, numpy.copyto of the same blocks; the share is that of its rate, 16 bytes a voxel.
"""

import argparse
import sys
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common import HEADER, affinities_like_predicted, copy_bandwidth, fib25_labels, machine, rows, run_apart, take_turns

SIDE, BLOCKS, ROWS = 125, 32, 10_000_000


def write(path: str) -> Callable[[], str]:
    """A block of fragments, numbered from 1."""
    from lsd_experiments.fragments import watershed_fragments

    source, labels = fib25_labels()
    affs = affinities_like_predicted(labels[:SIDE, :SIDE, :SIDE])
    np.save(path, watershed_fragments(affs, True))
    return lambda: source


def read(path: str) -> tuple[list[np.ndarray], np.ndarray]:
    """Blocks, and the segment of each id from 0."""
    block = np.load(path)
    random = np.random.default_rng(0)
    first = random.integers(0, ROWS - int(block.max()), BLOCKS).astype(np.uint64)
    segments = random.integers(1, ROWS, ROWS + 1).astype(np.uint64)
    segments[0] = 0
    return [np.where(block > 0, block + number, np.uint64(0)) for number in first], segments


def checked(path: str, blocks: int, prepare: Callable[[np.ndarray], Callable[[np.ndarray, np.ndarray], np.ndarray]],
            ) -> Callable[[], int]:
    """Relabels so many blocks; returns the checksum of the last one."""
    inputs, segments = read(path)
    relabel = prepare(segments)
    out = np.zeros_like(inputs[0])
    relabel(inputs[0], out)

    def run() -> int:
        for number in range(blocks):
            found = relabel(inputs[number % BLOCKS], out)
        return zlib.crc32(np.ascontiguousarray(found).data)
    return run


def ours(segments: np.ndarray) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    from lsd_experiments.segmentation import relabel

    lut = np.stack([np.arange(1, len(segments), dtype=np.uint64), segments[1:]])
    return lambda block, out: relabel(block, lut, out=out)


def unique_and_search(segments: np.ndarray) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    import fastremap

    from lsd_experiments.segmentation import segments_of

    lut = np.stack([np.arange(1, len(segments), dtype=np.uint64), segments[1:]])

    def relabel(block: np.ndarray, out: np.ndarray) -> np.ndarray:
        ids, inverse = fastremap.unique(block, return_inverse=True)
        return segments_of(ids, lut)[inverse].reshape(block.shape)
    return relabel


def fancy(segments: np.ndarray) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    return lambda block, out: segments[block]


def take(segments: np.ndarray) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    return lambda block, out: segments.take(block.view(np.int64), out=out, mode="clip")


def fastremap_array(segments: np.ndarray) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    import fastremap

    return lambda block, out: fastremap.remap_from_array(block.reshape(-1), segments, in_place=False)


def copy(segments: np.ndarray) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    def relabel(block: np.ndarray, out: np.ndarray) -> np.ndarray:
        np.copyto(out, block)
        return out
    return relabel


CANDIDATES = {"ours": ours, "numpy, segments[block]": fancy, "numpy, take into an array": take,
              "fastremap.remap_from_array": fastremap_array, "fastremap.unique and a search": unique_and_search, "copy": copy}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megavoxels", type=int, default=1000, help="(default: 1000)")
    parser.add_argument("--repeat", type=int, default=2, help="runs of each, of which the best counts (default: 2)")
    options = parser.parse_args()
    blocks = max(1, round(options.megavoxels * 1e6 / SIDE**3))
    with tempfile.TemporaryDirectory() as directory:
        path = f"{directory}/block.npy"
        source = run_apart(write, path).result
        count = int(np.load(path).max())
        rate = copy_bandwidth()
        print(f"{machine()}\n{blocks} blocks of {SIDE}^3 voxels with {count} fragments each ({source}), {ROWS} rows; one thread\n"
              f"\n{HEADER}")
        runs = take_turns({name: (checked, path, blocks, prepare) for name, prepare in CANDIDATES.items()}, options.repeat)
        print(rows(f"extraction, {blocks * SIDE**3 / 1e9:.2f} Gvoxel", runs))
        sums = {run.result for name, run in runs.items() if name != "copy"}
        assert len(sums) == 1, "results differ"
        assert runs["copy"].result not in sums
        moved = {name: 16 * blocks * SIDE**3 / 1e9 / runs[name].cpu for name in ("ours", "copy")}
        print(f"\nresults are equal; GB/s: ours {moved['ours']:.1f}, which is {moved['ours'] / moved['copy']:.0%} of a copy of "
              f"these blocks ({moved['copy']:.1f}), and {moved['ours'] / rate:.0%} of a copy of large arrays ({rate:.1f})")


if __name__ == "__main__":
    main()
