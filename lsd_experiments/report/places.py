"""Where the worst split and the worst merge of a segmentation are.

The worst split is in the label that costs most of the VOI split, between its two largest segments; the worst merge in the segment
that costs most of the VOI merge, between the two largest labels in it. Shown is the section in which most of the smaller of both is beside the
larger: looked for in the block that has most of both.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays import read_ids
from lsd_experiments.evaluation import Contingency
from lsd_experiments.geometry import Box, Voxels
from lsd_experiments.report.blocks import Counted

Kind = Literal["split", "merge"]


@dataclass(frozen=True)
class Place:
    """An error.

    :param at: (z, y, x) in voxels of the labels
    :param cost: bits of VOI that this label, or this segment, costs
    :param whole: the label that is split, or the segment that merges
    :param parts: its two largest parts
    """

    kind: Kind
    at: Voxels
    cost: float
    whole: int
    parts: tuple[int, int]

    @property
    def words(self) -> str:
        """What is wrong there."""
        if self.kind == "split":
            first, second = (f"{part}" if part else "0 (left out)" for part in self.parts)
            return f"label {self.whole} is in segments {first} and {second}, {self.cost:.3f} bits"
        return f"segment {self.whole} covers labels {self.parts[0]} and {self.parts[1]}, {self.cost:.3f} bits"


def worst(counted: Counted, kind: Kind) -> Place | None:
    """The worst error of a kind; None if there is none."""
    table = sum(counted.tables[1:], counted.tables[0])
    wholes, parts = _sides(table, kind)
    found = _costliest(wholes, table.counts)
    if found is None:
        return None
    whole, cost = found
    largest = np.argsort(-table.counts * (wholes == whole), kind="stable")[:2]
    pair = int(parts[largest[0]]), int(parts[largest[1]])
    block = max(range(len(counted.boxes)), key=lambda index: _both(counted.tables[index], kind, whole, pair))
    return Place(kind, _middle(counted, counted.boxes[block], kind, whole, pair), cost, whole, pair)


def _sides(table: Contingency, kind: Kind) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """What is one in truth (or in the segmentation), and in what it falls apart."""
    return (table.labels, table.segments) if kind == "split" else (table.segments, table.labels)


def _costliest(wholes: NDArray[np.uint64], counts: NDArray[np.int64]) -> tuple[int, float] | None:
    """The whole that costs most bits, and how many; None if none falls apart. Segment 0, what was left out, is no merge."""
    ids, inverse = np.unique(wholes, return_inverse=True)
    totals = np.bincount(inverse, weights=counts)
    costs = np.bincount(inverse, weights=-counts * np.log2(counts / totals[inverse])) / counts.sum()
    costs[ids == 0] = 0
    at = int(np.argmax(costs))
    return (int(ids[at]), float(costs[at])) if costs[at] > 0 else None


def _both(table: Contingency, kind: Kind, whole: int, pair: tuple[int, int]) -> tuple[int, int]:
    """Voxels of the smaller and of the larger part of ``whole`` in a block."""
    wholes, parts = _sides(table, kind)
    counts = [int(table.counts[(wholes == whole) & (parts == part)].sum()) for part in pair]
    return min(counts), max(counts)


def _middle(counted: Counted, box: Box, kind: Kind, whole: int, pair: tuple[int, int]) -> Voxels:
    """Where both parts are, or, if they share no section of the block, one of them."""
    found, truth = counted.segments_in(box), read_ids(counted.labels, box)
    one, other = (found, truth) if kind == "merge" else (truth, found)
    masks = [(one == whole) & (other == part) for part in pair]
    counts = np.stack([mask.sum(axis=(1, 2)) for mask in masks])
    z = int(np.argmax(counts.min(axis=0) * counts.sum() + counts.max(axis=0)))
    ys, xs = np.nonzero(masks[0][z] | masks[1][z])
    return (box.begin[0] + z, box.begin[1] + round(float(ys.mean())), box.begin[2] + round(float(xs.mean())))


def window(at: Sequence[int], box: Box, size: Sequence[int]) -> Box:
    """One section of at most ``size`` (y, x) voxels around ``at``, inside of ``box``."""
    begin, end = list(box.begin), list(box.end)
    begin[0], end[0] = at[0], at[0] + 1
    for axis, wanted in zip((1, 2), size, strict=True):
        extent = min(wanted, box.shape[axis])
        begin[axis] = min(max(box.begin[axis], at[axis] - extent // 2), box.end[axis] - extent)
        end[axis] = begin[axis] + extent
    return Box(tuple(begin), tuple(end))


def distinct(places: Sequence[tuple[Any, Place]]) -> Iterator[tuple[list[Any], Place]]:
    """Places of several, each once: whose it is, and the place."""
    kept: dict[tuple[Kind, Voxels], tuple[list[Any], Place]] = {}
    for owner, place in places:
        kept.setdefault((place.kind, place.at), ([], place))[0].append(owner)
    yield from kept.values()
