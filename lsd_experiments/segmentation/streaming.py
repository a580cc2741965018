"""Look-up tables of a graph that does not fit into memory.

Memory grows with the number of nodes: 4 bytes for the forest, and as many for each table that is being written. Edges are
read once, in batches, in any order, and none is sorted with the others:

    edges -> bin of the first threshold that admits them -> those that a forest of the batch needs -> spool, on disk
    for each threshold: unite its bin of the spool -> write the table, while the next bin is united
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import numpy as np

from lsd_experiments.segmentation.forest import Forest, Ids, Nodes
from lsd_experiments.segmentation.luts import lut_directory, lut_path, write_columns
from lsd_experiments.segmentation.scratch import naming, scratch_directory
from lsd_experiments.segmentation.spool import EdgeSpool
from lsd_experiments.segmentation.tables import check_ascending

BATCH = 2**21  # edges that are sorted at a time
WRITERS = 2  # tables that are written at a time

Edges = tuple[Any, ...]  # u, v, scores, and what else the caller has


def stream_segments(fragments_file: str, merge_function: str, node_ids: Iterable[Ids], edges: Iterable[Edges],
                    thresholds: Sequence[float], parity: bool = False,
                    written: Callable[[float], object] = lambda threshold: None) -> None:
    """Write the look-up table of each threshold: those that :func:`~.segments.find_segments` gives.

    What is needed meanwhile is in a directory beside the tables, and goes at the end, or when the next run begins.

    :param node_ids: batches of all fragment ids, ascending from batch to batch
    :param edges: batches of the ids u and v and the merge scores, NaN for edges that never unite; more columns are ignored
    :param parity: as published: edges without a score unite at every threshold
    :param written: called after each table with its threshold
    :raises OSError: naming the file, if the disk is full
    :raises UserError: if another process is at it
    """
    thresholds = sorted(set(thresholds))
    paths = {threshold: lut_path(fragments_file, merge_function, threshold) for threshold in thresholds}
    directory = lut_directory(fragments_file)
    scratch = directory / f".seg_edges_{merge_function}.scratch"
    with scratch_directory(scratch, "another run is finding segments there"):
        for left in directory.glob(f".seg_edges_{merge_function}_[0-9]*.npz.*.partial"):
            left.unlink()
        ids = _store_ids(scratch / "ids", node_ids)
        forest = Forest(len(ids))
        spool = EdgeSpool(scratch / "edges", forest.roots().dtype)
        for u, v, scores in _batches(edges):
            spool.append(*forest.sort_edges(ids, u, v, scores, thresholds, parity))
        _write_tables(ids, forest, spool, paths, written)


def _store_ids(path: Path, batches: Iterable[Ids]) -> Ids:
    """All ids, memory-mapped from a file that is written here."""
    last, count = -1, 0
    with naming(path), path.open("wb") as file:
        for batch in batches:
            if len(batch):
                ids = np.ascontiguousarray(batch, np.uint64)
                last, count = check_ascending(ids, last), count + len(ids)
                file.write(ids.data)
    return np.memmap(path, np.uint64, "r", shape=count).view(np.ndarray) if count else np.zeros(0, np.uint64)


def _batches(edges: Iterable[Edges]) -> Iterator[Edges]:
    """The first three columns, in batches of at least ``BATCH`` edges and less than twice as many; the last is shorter."""
    kept: list[Edges] = []
    count = 0
    for columns in edges:
        for begin in range(0, len(columns[0]), BATCH):
            kept.append(tuple(column[begin:begin + BATCH] for column in columns[:3]))
            count += len(kept[-1][0])
            if count >= BATCH:
                yield _join(kept)
                kept, count = [], 0
    if kept:
        yield _join(kept)


def _join(parts: Sequence[Edges]) -> Edges:
    return parts[0] if len(parts) == 1 else tuple(np.concatenate(columns) for columns in zip(*parts, strict=True))


def _write_tables(ids: Ids, forest: Forest, spool: EdgeSpool, paths: dict[float, Path],
                  written: Callable[[float], object]) -> None:
    """Unite bin after bin, and write the table of each one in another thread."""
    pending: dict[Future[None], float] = {}

    def finish(until: int) -> None:
        while len(pending) > until:
            for future in wait(pending, return_when=FIRST_COMPLETED).done:
                future.result()
                written(pending.pop(future))

    with ThreadPoolExecutor(WRITERS) as writers:
        for index, (threshold, path) in enumerate(paths.items()):
            for edges in spool.read(index):
                forest.unite(edges)
            roots = forest.roots()
            finish(WRITERS - 1)
            pending[writers.submit(_write_table, path, ids, roots.copy())] = threshold
        finish(0)


def _write_table(path: Path, ids: Ids, roots: Nodes) -> None:
    write_columns(path, len(ids), lambda begin, end: ids[begin:end], lambda begin, end: ids[roots[begin:end]])
