"""How find_segments and extract_segmentation grow with the graph: time, memory, bytes.

    python benchmarks/growth.py                                   # 0.1, 1 and 10 million edges, from SQLite and without
    python benchmarks/growth.py --edges 1e6 1e7 1e8               # 25 GB of disk, half an hour
    python benchmarks/growth.py --db postgresql://user@host/name?schema=growth
    python benchmarks/growth.py --db none                         # only from arrays on disk

The graph is synthetic: 6.5 edges per node to nodes near in number, some of them in other blocks, ids with gaps as
b * 10**8 + k for fragment k of block b, merge scores uniform in [0, 1), of which 5 % are missing. One threshold is 0.4, fifty
are 0, 0.02, ..., 0.98. "from arrays" reads ids, ends and scores as raw files; "from sqlite" reads them as find_segments does.

Each run is a process of its own; kernels are compiled before its clock starts. Peak memory is what its high-water mark says,
imports included; bytes are those of its write calls, scratch included. The exponent is the slope of log(seconds) against
log(edges); the last one that of the last two sizes. Fifty tables are 120 bytes per edge: from arrays, the disk is the limit,
which a --directory in memory (/dev/shm) takes away. Extraction: one worker relabels 50 blocks of 128 x 128 x 128 voxels.
"""

import argparse
import contextlib
import itertools
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common import receive

from lsd_experiments.cli import refusals
from lsd_experiments.errors import UserError
from lsd_experiments.rag import database_exists, open_store
from lsd_experiments.segmentation import lut_path, read_lut, relabel, stream_segments, threshold_range, write_lut

MERGE_FUNCTION = "hist_quant_75"
DEGREE = 6.5
FRAGMENTS, ROW = 10_000, 20  # per block; blocks per row: an edge may go to the next block, or to that of the next row
VOXELS = 10**8  # per block
BATCH = 2**20
THRESHOLDS = {1: [0.4], 50: threshold_range((0, 1), 0.02)}
FILES = {"ids": np.uint64, "u": np.uint64, "v": np.uint64, "scores": np.float64}
BLOCK, BLOCKS = (128, 128, 128), 50

Edges = tuple[np.ndarray, np.ndarray, np.ndarray]


def ids_of(nodes: np.ndarray) -> np.ndarray:
    return (nodes // FRAGMENTS * VOXELS + nodes % FRAGMENTS + 1).astype(np.uint64)


def edges_of(block: int, nodes: int) -> Edges:
    """The edges whose lower end is in a block: u, v, scores."""
    random = np.random.default_rng(block)
    lower = np.repeat(np.arange(block * FRAGMENTS, min(nodes, (block + 1) * FRAGMENTS)), 7)
    offsets = 1 + random.exponential(30, len(lower)).astype(np.int64)
    offsets += random.choice([0, FRAGMENTS, ROW * FRAGMENTS], len(lower), p=[0.8, 0.1, 0.1])
    pairs = np.unique(np.stack([lower, lower + offsets]), axis=1)
    u, v = pairs[:, pairs[1] < nodes]
    scores = random.random(len(u))
    scores[random.random(len(u)) < 0.05] = np.nan
    return ids_of(u), ids_of(v), scores


def write_graph(directory: str, edges: int, db: str | None) -> None:
    """As raw files, and block by block into the database."""
    nodes = round(edges / DEGREE)
    store = open_store(db, create=True) if db else None
    if store:
        store.clear()
        store.create_edges(MERGE_FUNCTION)
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(Path(directory, name).open("wb")) for name in FILES]
        for block in range(-(-nodes // FRAGMENTS)):
            ids = ids_of(np.arange(block * FRAGMENTS, min(nodes, (block + 1) * FRAGMENTS)))
            u, v, scores = edges_of(block, nodes)
            for file, column in zip(files, (ids, u, v, scores), strict=True):
                file.write(column.data)
            if store:
                store.write_nodes(block * VOXELS, (block + 1) * VOXELS - 1, ids, np.zeros((len(ids), 3)))
                store.write_edges(MERGE_FUNCTION, block, u, v, scores, np.zeros(len(u)), np.ones(len(u), np.int64))


def batches(directory: str, *names: str) -> Iterator[tuple[np.ndarray, ...]]:
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(Path(directory, name).open("rb")) for name in names]
        while len((parts := [np.fromfile(file, FILES[name], BATCH) for file, name in zip(files, names, strict=True)])[0]):
            yield tuple(parts)


def find_segments(directory: str, db: str | None, thresholds: list[float]) -> float:
    """Seconds."""
    ones = np.ones(1, np.uint64)
    stream_segments(f"{directory}/warm", "mean", [ones, ones * 2], [(ones, ones * 2, np.zeros(1))], [0.5])
    os.sync()
    begin = time.perf_counter()
    if db:
        with open_store(db) as store:
            stream_segments(f"{directory}/out", MERGE_FUNCTION, store.iterate_node_ids(), store.iterate_edges(MERGE_FUNCTION),
                            thresholds)
    else:
        ids = (batch for batch, in batches(directory, "ids"))
        stream_segments(f"{directory}/out", MERGE_FUNCTION, ids, batches(directory, "u", "v", "scores"), thresholds)
    return time.perf_counter() - begin


def relabel_blocks(path: str, rows: int, mapped: bool) -> float:
    """Seconds."""
    random = np.random.default_rng(0)
    per_block = min(rows, 1000)
    begin = time.perf_counter()
    lut = read_lut(Path(path)) if mapped else np.array(read_lut(Path(path)))
    for _ in range(BLOCKS):
        first = random.integers(0, rows - per_block + 1)
        fragments = ids_of(np.sort(random.integers(first, first + per_block, BLOCK), axis=2))
        assert relabel(fragments, lut).all()
    return time.perf_counter() - begin


def write_tables(directory: str, rows: int) -> None:
    ids = ids_of(np.arange(rows))
    write_lut(Path(directory, "lut.npz"), np.stack([ids, ids[np.arange(rows) // 7 * 7]]))


def apart(function: Callable[..., Any], *arguments: object) -> dict[str, Any]:
    """What ``function`` returns in a process of its own; its peak memory in GiB, and the GB that it wrote."""
    result: dict[str, Any] = receive(_measure, function, arguments)
    return result


def _measure(pipe, function, arguments) -> None:  # type: ignore[no-untyped-def]
    with refusals():
        result = function(*arguments)
    pipe.send({"result": result, "GiB": _proc("status", "VmHWM") / 2**20, "GB": _proc("io", "wchar") / 1e9})


def _proc(file: str, key: str) -> int:
    line = next(line for line in Path("/proc/self", file).read_text().splitlines() if line.startswith(key))
    return int(line.split()[1])


def machine(directory: str) -> str:
    cpu = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    begin = time.perf_counter()
    with tempfile.NamedTemporaryFile(dir=directory) as file:
        for _ in range(64):
            file.write(os.urandom(2**20) * 16)
        file.flush()
        os.fsync(file.fileno())
    rate = 1.0737 / (time.perf_counter() - begin)
    return (f"{os.cpu_count()} cores ({cpu}), {memory:.0f} GiB, a disk that takes {rate:.2f} GB/s, "
            f"Python {platform.python_version()}")


def measure_graphs(directory: str, sizes: list[int], db: str | None) -> None:
    print(f"{'edges':>12} {'from':>10} {'thresholds':>10} {'seconds':>9} {'peak GiB':>9} {'written GB':>10} {'50 / 1':>7}")
    seconds: dict[tuple[str, int], list[float]] = {}
    places = {"arrays": None, **({db.split(":")[0] if "://" in db else "sqlite": db} if db else {})}
    for size in sizes:
        apart(write_graph, directory, size, db)
        edges = Path(directory, "u").stat().st_size // 8
        for source, count in itertools.product(places, THRESHOLDS):
            run = apart(find_segments, directory, places[source], THRESHOLDS[count])
            for threshold in THRESHOLDS[count]:
                lut_path(f"{directory}/out", MERGE_FUNCTION, threshold).unlink()
            seconds.setdefault((source, count), []).append(run["result"])
            ratio = f"{run['result'] / seconds[source, 1][-1]:.2f}" if count > 1 else ""
            print(f"{edges:12} {source:>10} {count:10} {run['result']:9.2f} {run['GiB']:9.2f} {run['GB']:10.2f} {ratio:>7}",
                  flush=True)
    if len(sizes) > 1:
        for (source, count), times in seconds.items():
            print(f"exponent from {source}, {count} thresholds: {slope(sizes, times):.2f}, "
                  f"of the last two sizes {slope(sizes[-2:], times[-2:]):.2f}")


def slope(sizes: list[int], seconds: list[float]) -> float:
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def measure_extraction(directory: str, sizes: list[int]) -> None:
    print(f"{'table rows':>12} {'table':>10} {'seconds':>9} {'peak GiB':>9}")
    for rows in sizes:
        apart(write_tables, directory, rows)
        for name, mapped in {"mapped": True, "loaded": False}.items():
            run = apart(relabel_blocks, f"{directory}/lut.npz", rows, mapped)
            print(f"{rows:12} {name:>10} {run['result']:9.2f} {run['GiB']:9.3f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edges", type=float, nargs="+", default=[1e5, 1e6, 1e7], help="(default: 1e5 1e6 1e7)")
    parser.add_argument("--rows", type=float, nargs="*", default=[1e5, 1e6, 1e7], help="of tables (default: 1e5 1e6 1e7)")
    parser.add_argument("--directory", help="where there is room, 250 bytes per edge (default: that of temporary files)")
    parser.add_argument("--db", default="sqlite", help="sqlite, none, or the URL of an empty schema (default: sqlite)")
    options = parser.parse_args()
    with refusals(), tempfile.TemporaryDirectory(dir=options.directory, prefix="growth-") as directory:
        db = {"none": None, "sqlite": f"{directory}/graph.db"}.get(options.db, options.db)
        if db and database_exists(db):
            raise UserError("--db: there is something in this database. Name a schema that is empty: ?schema=NAME")
        print(machine(directory))
        measure_graphs(directory, sorted(int(size) for size in options.edges), db)
        measure_extraction(directory, sorted(int(rows) for rows in options.rows))


if __name__ == "__main__":
    main()
