"""Look-up tables at fifty thresholds beside SciPy's connected components, one threshold after the other.

    python benchmarks/segments.py                   # 10 million edges: a minute and a half, 3 GB of disk
    python benchmarks/segments.py --edges 3e6

The graph is that of growth.py. Both candidates begin with arrays in memory, ids of fragments, ends and scores of edges, and end
with the tables [2, n] of all thresholds, which are compared. "ours, in memory" gives them one after the other, as the peer
does; "ours, files" is what the stage does: it reads batches from files, here without a database, and writes npz files, two at a
time; "SciPy, files" writes its tables with numpy.savez.
The peer takes the edges of each threshold, calls connected_components, and names each component by its smallest fragment.
The peer finds the places of ids once for all thresholds, outside of its loop.
"""

import argparse
import hashlib
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common import HEADER, machine, rows, run_apart, take_turns
from growth import FILES, MERGE_FUNCTION, THRESHOLDS, batches, write_graph

from lsd_experiments.segmentation import find_segments, lut_path, read_lut, stream_segments
from lsd_experiments.segmentation.tables import ARRAY


def read(directory: str) -> list[np.ndarray]:
    return [np.fromfile(Path(directory, name), dtype) for name, dtype in FILES.items()]


def digest(tables: Iterable[np.ndarray]) -> str:
    """Of the tables' content: what is compared."""
    found = hashlib.blake2b()
    for table in tables:
        found.update(np.ascontiguousarray(table).data)
    return found.hexdigest()


def use(tables: Iterable[np.ndarray]) -> int:
    """Go through the tables: the last column of each."""
    return sum(int(table[1, -1]) for table in tables)


@dataclass(frozen=True)
class Save:
    """Write tables to npz files, not compressed."""

    directory: str

    def __call__(self, tables: Iterable[np.ndarray]) -> None:
        """Number them."""
        for index, table in enumerate(tables):
            np.savez(f"{self.directory}/{index}.npz", **{ARRAY: table})


def write(directory: str, edges: int) -> Callable[[], None]:
    return lambda: write_graph(directory, edges, None)


def in_memory(directory: str, consume: Callable[[Iterable[np.ndarray]], object]) -> Callable[[], object]:
    ids, u, v, scores = read(directory)
    one = np.ones(1, np.uint64)
    list(find_segments(np.array([1, 2], np.uint64), one, one * 2, np.zeros(1), [0.5]))
    return lambda: consume(table for _, table in find_segments(ids, u, v, scores, THRESHOLDS[50]))


def to_files(directory: str) -> Callable[[], None]:
    one = np.ones(1, np.uint64)
    stream_segments(f"{directory}/warm", "mean", [one, one * 2], [(one, one * 2, np.zeros(1))], [0.5])
    return lambda: stream_segments(f"{directory}/out", MERGE_FUNCTION, (batch for batch, in batches(directory, "ids")),
                                   batches(directory, "u", "v", "scores"), THRESHOLDS[50])


def scipy(directory: str, consume: Callable[[Iterable[np.ndarray]], object]) -> Callable[[], object]:
    ids, u, v, scores = read(directory)
    list(_scipy(ids[:9], ids[:4], ids[1:5], np.zeros(4), [0.5]))
    return lambda: consume(_scipy(ids, u, v, scores, THRESHOLDS[50]))


def _scipy(ids: np.ndarray, u: np.ndarray, v: np.ndarray, scores: np.ndarray, thresholds: list[float]) -> Iterable[np.ndarray]:
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    known = ~np.isnan(scores)
    a, b, scores = np.searchsorted(ids, u[known]), np.searchsorted(ids, v[known]), scores[known]
    for threshold in thresholds:
        admitted = scores <= threshold
        ones = np.ones(np.count_nonzero(admitted), np.uint8)
        graph = coo_matrix((ones, (a[admitted], b[admitted])), shape=(len(ids), len(ids)))
        count, components = connected_components(graph, directed=False)
        smallest = np.zeros(count, np.uint64)
        smallest[components[::-1]] = ids[::-1]  # the first one of each is written last
        yield np.stack([ids, smallest[components]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edges", type=float, default=1e7, help="about so many (default: 1e7)")
    parser.add_argument("--repeat", type=int, default=1, help="runs of each, of which the best counts (default: 1)")
    parser.add_argument("--directory", help="where there is room, 300 bytes per edge (default: that of temporary files)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory, prefix="segments-") as directory:
        run_apart(write, directory, int(options.edges))
        edges, nodes = (Path(directory, name).stat().st_size // 8 for name in ("u", "ids"))
        print(f"{machine()}\n{edges} edges, {nodes} nodes, 50 thresholds; one thread; files: three\n\n{HEADER}")
        runs = take_turns({"ours, in memory": (in_memory, directory, use), "ours, files": (to_files, directory),
                           "SciPy": (scipy, directory, use),
                           "SciPy, files": (scipy, directory, Save(directory))}, options.repeat)
        print(rows(f"find segments, {edges / 1e6:.1f} million edges", runs), flush=True)
        paths = [lut_path(f"{directory}/out", MERGE_FUNCTION, threshold) for threshold in THRESHOLDS[50]]
        saved = [f"{directory}/{index}.npz" for index in range(len(paths))]
        digests = [digest(map(read_lut, paths)), digest(np.load(path, allow_pickle=False)[ARRAY] for path in saved),
                   run_apart(in_memory, directory, digest).result]
        assert digests == 3 * digests[:1], "tables differ"
    print("\nall tables of all three are equal")


if __name__ == "__main__":
    main()
