"""Merging of regions in waterz's order, for merge functions that waterz does not ship compiled.

Edges wait in 256 queues by their score, the lowest first, and in each in the order in which they came. The first one is taken; if
what it is scored by changed since, it is scored again and waits again, else its two regions become one. Of two edges to a common
neighbour the cheaper one stays, and takes over what the other one knows.
"""

from collections import deque
from collections.abc import Iterable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

BINS = 256
Merge = tuple[int, int, float]


class Statistics(Protocol):
    """What edges are scored by."""

    def score(self, edge: int) -> float:
        """Of an edge, the lower the sooner it is taken."""

    def join(self, source: int, target: int) -> None:
        """Give the edge ``target`` what the edge ``source`` knows."""


class MeanOfGreatest:
    """One minus the mean of the ``count`` greatest affinities between two regions, or of all if there are fewer."""

    def __init__(self, affinities: NDArray[np.float32], starts: NDArray[np.int64], count: int) -> None:
        """``affinities``: of all faces, those of edge i from ``starts[i]`` on, in descending order."""
        self.count = count
        self.values = [affinities[begin:begin + min(count, end - begin)] for begin, end in
                       zip(starts, [*starts[1:], len(affinities)], strict=True)]

    def score(self, edge: int) -> float:
        """See the class."""
        values = self.values[edge]
        total = np.float32(0)
        for value in values:  # as waterz adds them up
            total += value
        return float(np.float32(1) - total / np.float32(len(values)))

    def join(self, source: int, target: int) -> None:
        """The greatest of both."""
        both = np.concatenate([self.values[source], self.values[target]])
        self.values[target] = np.sort(both)[::-1][:self.count]


class Merging:
    """A region graph that becomes smaller: ``edges`` [n, 2], of which the first node is the smaller one, in ascending order."""

    def __init__(self, edges: NDArray[np.int64], statistics: Statistics) -> None:
        self.edges, self.statistics = [(int(u), int(v)) for u, v in edges], statistics
        self.neighbours: dict[int, dict[int, int]] = {}
        for edge, (u, v) in enumerate(self.edges):
            self.neighbours.setdefault(u, {})[v] = edge
            self.neighbours.setdefault(v, {})[u] = edge
        self.scores = [0.0] * len(self.edges)
        self.stale, self.gone = [False] * len(self.edges), [False] * len(self.edges)
        self.queues: list[deque[int]] = [deque() for _ in range(BINS)]
        self.first = BINS
        for edge in range(len(self.edges)):
            self._wait(edge)

    def until(self, threshold: float) -> list[Merge]:
        """Merge while the first edge scores less than ``threshold``: the region that stays, the one that goes, the score."""
        merges: list[Merge] = []
        while (edge := self._next()) is not None:
            score = self.scores[edge]
            if score >= threshold:
                break
            self.queues[self.first].popleft()
            if self.gone[edge]:
                continue
            if self.stale[edge]:
                self.stale[edge] = False
                self._wait(edge)
                continue
            merges.append((*self.edges[edge], score))
            self._unite(edge)
        return merges

    def _next(self) -> int | None:
        while self.first < BINS and not self.queues[self.first]:
            self.first += 1
        return self.queues[self.first][0] if self.first < BINS else None

    def _wait(self, edge: int) -> None:
        score = self.scores[edge] = self.statistics.score(edge)
        place = min(max(int(np.float32(score) * np.float32(BINS)), 0), BINS - 1)
        self.queues[place].append(edge)
        self.first = min(self.first, place)

    def _unite(self, edge: int) -> None:
        stays, goes = self.edges[edge]
        kept, moved = self.neighbours[stays], self.neighbours.pop(goes)
        del kept[goes], moved[stays]
        for neighbour, other in moved.items():
            del self.neighbours[neighbour][goes]
            if neighbour in kept:
                other = self._merged(other, kept[neighbour])
            self.edges[other] = (min(stays, neighbour), max(stays, neighbour))
            kept[neighbour] = self.neighbours[neighbour][stays] = other

    def _merged(self, one: int, other: int) -> int:
        """Of two edges the cheaper one, which takes over the other one's affinities; ``one``, if they score alike."""
        dearer, cheaper = (one, other) if self.scores[one] > self.scores[other] else (other, one)
        self.statistics.join(dearer, cheaper)
        self.gone[dearer] = self.stale[cheaper] = True
        return cheaper


def mean_of_greatest(affs: NDArray[np.float32], fragments: NDArray[np.uint64],
                     count: int) -> tuple[NDArray[np.int64], MeanOfGreatest]:
    """The region graph of ``fragments`` [z, y, x], without 0, and what its edges are scored by; ``affs`` [3, z, y, x]."""
    found = []
    for axis in range(3):
        here, before = (np.moveaxis(fragments, axis, 0)[part] for part in (slice(1, None), slice(None, -1)))
        borders = (here != before) & (here > 0) & (before > 0)
        values = np.moveaxis(affs[axis], axis, 0)[1:][borders]
        found.append((np.sort(np.stack([here[borders], before[borders]], axis=1).astype(np.int64)), values))
    pairs, values = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort((-values, pairs[:, 1], pairs[:, 0]))
    pairs = pairs[order]
    starts = np.flatnonzero(np.concatenate([np.ones(min(1, len(pairs)), bool), (pairs[1:] != pairs[:-1]).any(axis=1)]))
    return pairs[starts], MeanOfGreatest(values[order], starts, count)


def united(fragments: NDArray[np.uint64], merges: Iterable[Merge]) -> NDArray[np.uint64]:
    """``fragments`` [z, y, x] after ``merges``."""
    table = np.arange(int(fragments.max(initial=0)) + 1, dtype=np.uint64)
    for stays, goes, _ in reversed(list(merges)):  # a region that stays may go later
        table[goes] = table[stays]
    return np.asarray(table[fragments])
