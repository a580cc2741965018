"""Contingency tables: how many voxels each segment shares with each ground truth label.

All scores of a segmentation follow from its table, which is small where the volumes are large. Tables of fragments give
the tables of every agglomeration of them, without looking at the volume again.

- Ground truth 0 is unlabelled: its voxels are not counted.
- Segment 0 is a segment like any other: voxels that were left out of the segmentation count as one object.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lsd_experiments.errors import UserError

SLAB = 2**22  # voxels that are converted to uint64 at a time


@dataclass(frozen=True)
class Contingency:
    """A sparse table, sorted by segment, then label.

    ``segments``, ``labels``: [n] uint64; ``counts``: [n] int64, voxels of that segment and that label, at least 1.
    Each pair occurs once, labels are not 0.
    """

    segments: NDArray[np.uint64]
    labels: NDArray[np.uint64]
    counts: NDArray[np.int64]

    @classmethod
    def of_pairs(cls, segments: ArrayLike, labels: ArrayLike, counts: ArrayLike) -> "Contingency":
        """The table of pairs in any order, of which equal ones are added."""
        s, t = np.asarray(segments, np.uint64), np.asarray(labels, np.uint64)
        order = np.lexsort((t, s))
        s, t, c = s[order], t[order], np.asarray(counts, np.int64)[order]
        if not len(s):
            return cls(s, t, c)
        starts = np.flatnonzero(np.concatenate([[True], (s[1:] != s[:-1]) | (t[1:] != t[:-1])]))
        return cls(s[starts], t[starts], np.add.reduceat(c, starts))

    @property
    def voxels(self) -> int:
        """How many labelled voxels were counted."""
        return int(self.counts.sum())

    def __add__(self, other: "Contingency") -> "Contingency":
        """The table of two disjoint regions together."""
        return Contingency.of_pairs(np.concatenate([self.segments, other.segments]),
                                    np.concatenate([self.labels, other.labels]),
                                    np.concatenate([self.counts, other.counts]))

    def relabel(self, lut: ArrayLike) -> "Contingency":
        """The table after fragments were merged to segments: what the segmentation written with ``lut`` would give.

        :param lut: [2, n], fragments and the segments they belong to; fragments that are not in it become segment 0
        """
        fragments, segments = np.asarray(lut, np.uint64)
        order = np.argsort(fragments, kind="stable")
        none = np.zeros(1, np.uint64)  # a last one to miss
        fragments, segments = np.append(fragments[order], none), np.append(segments[order], none)
        at = np.searchsorted(fragments[:-1], self.segments)
        return Contingency.of_pairs(np.where(fragments[at] == self.segments, segments[at], 0), self.labels, self.counts)


class PairCounter:
    """Counts pairs block by block, in memory that grows with the number of pairs, not of voxels.

        counter = PairCounter()
        for box in boxes:
            counter.add(segmentation.read(box), labels.read(box))
        table = counter.contingency()
    """

    def __init__(self) -> None:
        self._table = _empty(1024)
        self._used = 0

    def add(self, segmentation: NDArray[np.integer], labels: NDArray[np.integer]) -> None:
        """Count the voxels of a block: two arrays of the same shape, of non-negative integers.

        :raises UserError: if their shapes differ, or they are not of integers, or negative
        """
        _check(segmentation, labels)
        rows = max(1, SLAB // max(1, segmentation[:1].size))
        for start in range(0, len(segmentation), rows):
            self._add(*(_flat(array[start:start + rows]) for array in (segmentation, labels)))

    def contingency(self) -> Contingency:
        """What was counted so far."""
        taken = self._table[2] > 0
        return Contingency.of_pairs(*(column[taken] for column in self._table))

    def _add(self, segmentation: NDArray[np.uint64], labels: NDArray[np.uint64]) -> None:
        from lsd_experiments.evaluation.kernels import count_pairs, move_pairs

        at = 0
        while True:
            at, self._used = count_pairs(segmentation, labels, at, *self._table, self._used)
            if at == len(labels):
                return
            larger = _empty(2 * len(self._table[2]))
            move_pairs(*self._table, *larger)
            self._table = larger


def contingency(segmentation: NDArray[np.integer], labels: NDArray[np.integer]) -> Contingency:
    """The table of a segmentation and its ground truth: arrays of the same shape, of non-negative integers.

    :raises UserError: if their shapes differ, or they are not of integers, or negative
    """
    counter = PairCounter()
    counter.add(np.asarray(segmentation), np.asarray(labels))
    return counter.contingency()


def _empty(places: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.int64]]:
    return np.zeros(places, np.uint64), np.zeros(places, np.uint64), np.zeros(places, np.int64)


def _flat(array: NDArray[np.integer]) -> NDArray[np.uint64]:
    return np.ascontiguousarray(array, np.uint64).reshape(-1)


def _check(segmentation: NDArray[np.integer], labels: NDArray[np.integer]) -> None:
    if segmentation.shape != labels.shape:
        raise UserError(f"the segmentation has shape {segmentation.shape}, the labels have {labels.shape}, not "
                        "the same: crop both to one region")
    for name, array in (("segmentation", segmentation), ("labels", labels)):
        if array.dtype.kind not in "uib":
            raise UserError(f"the ids of the {name} are of type {array.dtype}; they must be integers: if they "
                            f"are whole numbers, pass {name}.astype('uint64')")
        if array.dtype.kind == "i" and array.size and array.min() < 0:
            raise UserError(f"the ids of the {name} include {array.min()}; they must not be negative")
    if segmentation.ndim == 0:
        raise UserError("the segmentation and the labels are single numbers: they must be arrays of ids")
