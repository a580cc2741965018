"""Where the worst split and the worst merge of a segmentation are.

The worst split is in the label that costs most of the VOI split, between its two largest segments; the worst merge in the segment
that costs most of the VOI merge, between the two largest labels in it. Shown is where both meet: looked for in the block that
has most of the smaller one.
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
KINDS: tuple[Kind, ...] = ("split", "merge")


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
    of_blocks = np.array([[_voxels(one, kind, whole, part) for part in pair] for one in counted.tables])
    smaller = of_blocks.min(axis=1)
    if smaller.any():
        at = _meeting(counted, counted.boxes[int(np.argmax(smaller))], kind, whole, pair)
    else:
        at = _between(counted, of_blocks, kind, whole, pair)
    return Place(kind, at, cost, whole, pair)


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


def _voxels(table: Contingency, kind: Kind, whole: int, part: int) -> int:
    """Those of a part of ``whole`` in a block."""
    wholes, parts = _sides(table, kind)
    return int(table.counts[(wholes == whole) & (parts == part)].sum())


def _masks(counted: Counted, box: Box, kind: Kind, whole: int, pair: tuple[int, int]) -> list[NDArray[np.bool_]]:
    """[z, y, x] where each part of ``whole`` is in a box."""
    found, truth = counted.segments_in(box), read_ids(counted.labels, box)
    one, other = (found, truth) if kind == "merge" else (truth, found)
    return [(one == whole) & (other == part) for part in pair]


def _meeting(counted: Counted, box: Box, kind: Kind, whole: int, pair: tuple[int, int]) -> Voxels:
    """Where both parts meet in a section that has most of the smaller one; or where one is nearest to the other along z."""
    first, second = _masks(counted, box, kind, whole, pair)
    sizes = np.stack([part.sum(axis=(1, 2)) for part in (first, second)])
    if sizes.min(axis=0).any():
        z = int(np.argmax(sizes.min(axis=0)))
        y, x = _nearest(first[z], second[z], counted.labels.voxel_size[1:])
    else:
        z = _section(*(np.flatnonzero(of_part) for of_part in sizes))
        y, x = (round(float(np.mean(places))) for places in np.nonzero((first | second)[z]))
    return (box.begin[0] + z, box.begin[1] + y, box.begin[2] + x)


def _between(counted: Counted, of_blocks: NDArray[np.integer[Any]], kind: Kind, whole: int, pair: tuple[int, int]) -> Voxels:
    """Of parts that share no block: the voxel of the one that is nearest to the other's block, of the two blocks that are
    nearest to each other.
    """
    scale = np.array(counted.labels.voxel_size)
    middles = np.array([[(b + e) / 2 for b, e in zip(box.begin, box.end, strict=True)] for box in counted.boxes]) * scale
    first, second = (np.flatnonzero(of_blocks[:, part]) for part in (0, 1))
    apart = ((middles[first][:, None] - middles[second]) ** 2).sum(axis=2)
    i, j = np.unravel_index(int(np.argmin(apart)), apart.shape)
    box = counted.boxes[int(first[i])]
    places = np.argwhere(_masks(counted, box, kind, whole, pair)[0]) + box.begin
    z, y, x = places[np.argmin(((places * scale - middles[second[j]]) ** 2).sum(axis=1))].tolist()
    return (z, y, x)


def _nearest(first: NDArray[np.bool_], second: NDArray[np.bool_], voxel_size: Sequence[float]) -> tuple[int, int]:
    """(y, x) in ``first``, the nearest one to ``second``."""
    from scipy.ndimage import distance_transform_edt

    distances = np.where(first, distance_transform_edt(~second, sampling=voxel_size), np.inf)
    y, x = np.unravel_index(int(np.argmin(distances)), first.shape)
    return int(y), int(x)


def _section(first: NDArray[np.intp], second: NDArray[np.intp]) -> int:
    """That of ``first``, sections in ascending order, that is nearest to one of ``second``."""
    return int(first[np.argmin(np.abs(first[:, None] - second).min(axis=1))])


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
