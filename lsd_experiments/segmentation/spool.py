"""Edges on disk, in the order in which growing thresholds admit them.

One file holds runs: those of a batch, sorted by bin, one batch after the other. An index in memory, 8 bytes per batch and
threshold, says where each run begins, so that a bin is read without a sort and without a file of its own.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike, NDArray

from lsd_experiments.segmentation.forest import Nodes
from lsd_experiments.segmentation.scratch import naming


class EdgeSpool:
    """Edges in a new file at ``path``."""

    def __init__(self, path: Path, dtype: DTypeLike) -> None:
        self._path, self._dtype = path, np.dtype(dtype)
        self._starts: list[NDArray[np.int64]] = []
        self._edges = 0
        path.touch(exist_ok=False)

    def append(self, edges: Nodes, starts: NDArray[np.int64]) -> None:
        """Add a batch: ``edges`` [k, 2] in order of their bins, bin b from ``starts[b]`` to ``starts[b + 1]``.

        :raises OSError: naming the file, if the disk is full
        """
        with naming(self._path), self._path.open("ab") as file:
            file.write(np.ascontiguousarray(edges, self._dtype).data)
        self._starts.append(self._edges + starts)
        self._edges += len(edges)

    def read(self, index: int) -> Iterator[Nodes]:
        """The edges of bin ``index``, [k, 2] of each batch."""
        with self._path.open("rb", buffering=0) as file:
            for starts in self._starts:
                begin, end = int(starts[index]), int(starts[index + 1])
                if end > begin:
                    file.seek(2 * begin * self._dtype.itemsize)
                    yield np.fromfile(file, self._dtype, 2 * (end - begin)).reshape(-1, 2)
