"""A volume on another voxel grid, as a volume: computed as it is read, and never written.

The new grid goes through a place in the world, by default the volume's first corner, and has the voxels whose centres lie in the
volume::

    source, 4 nm    |  0  |  1  |  2  |  3  |  4  |  5  |  6  |       centres at 2, 6, 10, ... nm
    new, 6 nm       |    0   |    1   |    2   |    3   |   -          centres at 3, 9, 15, ... nm

A new voxel is f old ones long. Along each axis, one after the other, z first, raw is

- the mean of the f voxels that it covers, where f is whole, 2 or more, and the grids' edges meet;
- else, where f is above 1, the mean over the new voxel of what linear interpolation between the old centres gives;
- else linear interpolation at the new centre.

The mean is a low-pass: what the new grid is too coarse to show is not taken for something else. A ramp stays a ramp, at its
place. Of the weights, those count whose voxels there are: nothing is made up beyond the volume's ends. Whole numbers are rounded.
Labels, and masks, are those of the voxel that the new centre lies in. A voxel depends on its place alone, not on the box that is
read.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays.alignments import carried
from lsd_experiments.arrays.grids import show
from lsd_experiments.arrays.volume import Volume
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box, Voxels

Kind = Literal["raw", "labels"]
EQUAL = 1e-3  # of a voxel by which voxel sizes, and grids, may differ that are one
WHOLE = 1e-6  # by which a factor may differ from a whole number
PLACES = 6  # decimals of a source voxel to which a centre is rounded: a centre on an edge is on the edge along a whole axis
PIECE = 2**24  # voxels of the source that are read at once
SHORT, EXACT = 2, 4  # bytes of the integers, and of the floats, that float32 holds exactly


def is_on_grid(volume: Volume, voxel_size: Sequence[float], place: Sequence[float]) -> bool:
    """Whether the voxels of ``volume`` are those of a grid of ``voxel_size`` (nm) that goes through ``place`` (nm)."""
    for own, size, offset, through in zip(volume.voxel_size, voxel_size, volume.offset, place, strict=True):
        apart = (offset - through) / size
        if abs(own - size) > EQUAL * size or abs(apart - round(apart)) > EQUAL:
            return False
    return True


def resampled(volume: Volume, voxel_size: Sequence[float], kind: Kind, place: Sequence[float] | None = None) -> Volume:
    """``volume`` [z, y, x] or [c, z, y, x] on the grid of ``voxel_size`` (z, y, x) in nm that goes through ``place`` (nm).

    It is ``volume`` itself if it lies on that grid. Attributes are empty: what they say is of the source's voxels.

    :param kind: whether values may be averaged
    :raises UserError: if no voxel of the grid has its centre in the volume
    """
    through = volume.offset if place is None else tuple(place)
    if is_on_grid(volume, voxel_size, through):
        return volume
    facts = zip(volume.shape, volume.voxel_size, volume.offset, voxel_size, through, strict=True)
    axes = tuple(_Axis.of(*of_axis) for of_axis in facts)
    if any(axis.count < 1 for axis in axes):
        raise UserError(f"{volume.name}: {volume.shape} voxels of {show(volume.voxel_size)} nm are too few to be resampled to "
                        f"{show(voxel_size)} nm: none would have its centre in them. Name a larger volume")
    array = Resampled(volume, kind, axes)
    offset = tuple(p + axis.first * axis.new for p, axis in zip(through, axes, strict=True))
    box = Box.of_shape(array.shape[-3:])
    return Volume(volume.container, volume.dataset, array, tuple(voxel_size), offset, box, volume.channels,
                  carried(volume))


@dataclass(frozen=True)
class _Axis:
    """One axis: ``size`` old voxels of ``old`` nm, and ``count`` new ones of ``new`` nm, from number ``first`` of the grid on.

    ``begin``: where new voxel number 0 of the grid begins, in old voxels from the volume's first.
    """

    size: int
    old: float
    new: float
    begin: float
    first: int
    count: int

    @classmethod
    def of(cls, size: int, old: float, offset: float, new: float, place: float) -> "_Axis":
        begin, factor = (place - offset) / old, new / old

        def number(edge: float) -> int:  # of the first voxel whose centre lies at or behind it
            return math.ceil(round((edge - begin) / factor - 0.5, PLACES))

        return cls(size, old, new, begin, number(0), number(size) - number(0))

    @property
    def factor(self) -> float:
        """Old voxels in a new one."""
        factor = self.new / self.old
        return float(round(factor)) if abs(factor - round(factor)) <= WHOLE * factor else factor

    @property
    def is_mean(self) -> bool:
        """Whether new voxels cover whole old ones."""
        return self.factor.is_integer() and self.factor > 1 and abs(self.begin - round(self.begin)) <= EQUAL

    @property
    def reach(self) -> float:
        """Old voxels to each side of a centre whose weights are not 0."""
        if self.is_mean:
            return self.factor / 2
        return self.factor / 2 + 1 if self.factor > 1 else 1.0

    def centres(self, start: int, stop: int) -> NDArray[np.float64]:
        """Where new voxels ``start`` to ``stop`` have their centres, in old voxels: old voxel i is from i to i + 1."""
        numbers = np.arange(self.first + start, self.first + stop, dtype=np.float64) + 0.5
        return np.round(self.begin + numbers * self.factor, PLACES)

    def nearest(self, start: int, stop: int) -> NDArray[np.int64]:
        """The old voxels that the centres lie in."""
        return np.clip(np.floor(self.centres(start, stop)).astype(np.int64), 0, self.size - 1)

    def taps(self, start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """[taps, new] old voxels and their weights, which add up to 1."""
        centres, reach = self.centres(start, stop), self.reach
        first = np.ceil(np.round(centres - reach - 0.5, PLACES)).astype(np.int64)
        number = round(self.factor) if self.is_mean else math.floor(2 * reach) + 1
        voxels = first + np.arange(number)[:, None]
        apart = voxels + 0.5 - centres
        if self.is_mean:
            weights = np.ones(voxels.shape)
        elif self.factor > 1:
            weights = _below(apart + self.factor / 2) - _below(apart - self.factor / 2)
        else:
            weights = np.maximum(0, 1 - np.abs(apart))
        weights[(voxels < 0) | (voxels >= self.size)] = 0
        total = np.zeros(voxels.shape[1])
        for row in weights:
            total += row
        return np.clip(voxels, 0, self.size - 1), weights / total


@dataclass(frozen=True)
class Resampled:
    """The array of :func:`resampled`: [z, y, x] or [c, z, y, x], which takes slices."""

    source: Volume
    kind: Kind
    axes: tuple[_Axis, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the new voxels."""
        spatial = tuple(axis.count for axis in self.axes)
        return spatial if self.source.channels is None else (self.source.channels, *spatial)

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the source."""
        return self.source.dtype

    @property
    def chunks(self) -> Voxels | None:
        """About those of the source."""
        chunks = self.source.chunks
        return tuple(max(1, round(c / axis.factor)) for c, axis in zip(chunks, self.axes, strict=True)) if chunks else None

    def of(self, source: Volume) -> "Resampled":
        """The same of ``source``, which is the source opened again."""
        return replace(self, source=source)

    def __getitem__(self, index: tuple[Any, ...]) -> NDArray[Any]:
        *leading, z, y, x = index
        box = Box(*zip(*((s.start, s.stop) for s in (z, y, x)), strict=True))
        return self._read(box)[(*leading, ...)]

    def _read(self, box: Box) -> NDArray[Any]:
        """A box of new voxels; one of many old ones, in pieces."""
        longest = max(range(3), key=lambda axis: box.shape[axis])
        if math.prod(self._of_source(box).shape) * (self.source.channels or 1) > PIECE and box.shape[longest] > 1:
            middle = (box.begin[longest] + box.end[longest]) // 2
            halves = (_with(box, longest, box.begin[longest], middle), _with(box, longest, middle, box.end[longest]))
            return np.concatenate([self._read(half) for half in halves], axis=longest - 3)
        return self._nearest(box) if self.kind == "labels" else self._mean(box)

    def _of_source(self, box: Box) -> Box:
        """The old voxels that ``box`` is made of."""
        begin, end = [], []
        for axis, first, last in zip(self.axes, box.begin, box.end, strict=True):
            reach = 0 if self.kind == "labels" else axis.reach
            low, high = axis.centres(first, last)[[0, -1]]
            begin.append(min(axis.size - 1, max(0, math.floor(low - reach - 0.5))))
            end.append(max(begin[-1] + 1, min(axis.size, math.ceil(high + reach + 0.5))))
        return Box(tuple(begin), tuple(end))

    def _nearest(self, box: Box) -> NDArray[Any]:
        read = self._of_source(box)
        values = self.source.read(read)
        for number, (axis, low) in enumerate(zip(self.axes, read.begin, strict=True)):
            values = np.take(values, axis.nearest(box.begin[number], box.end[number]) - low, axis=number - 3)
        return values

    def _mean(self, box: Box) -> NDArray[Any]:
        read = self._of_source(box)
        exact = np.float32 if self.dtype.itemsize <= (EXACT if self.dtype.kind == "f" else SHORT) else np.float64
        values = self.source.read(read).astype(exact)
        for number, (axis, low) in enumerate(zip(self.axes, read.begin, strict=True)):
            voxels, weights = axis.taps(box.begin[number], box.end[number])
            shaped = weights.astype(exact).reshape(len(weights), -1, *(1,) * (2 - number))
            found = _taken(values, voxels[0] - low, number - 3) * shaped[0]
            for tap, weight in zip(voxels[1:], shaped[1:], strict=True):  # in the same order for any box: alike to the last bit
                found += _taken(values, tap - low, number - 3) * weight
            values = found
        return values.astype(self.dtype) if self.dtype.kind == "f" else np.rint(values).astype(self.dtype)


def _below(place: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share of linear interpolation's triangle, from -1 to 1 about a voxel's centre, that lies below ``place``."""
    inside = np.clip(place, -1, 1)
    return np.where(inside < 0, (inside + 1) ** 2 / 2, 1 - (1 - inside) ** 2 / 2)


def _taken(values: NDArray[Any], indices: NDArray[np.int64], axis: int) -> NDArray[Any]:
    """``np.take``; without a copy if the indices are evenly spaced, as they are but for non-whole factors."""
    steps = np.diff(indices)
    if len(steps) and (steps != max(1, steps[0])).any():
        return np.take(values, indices, axis)
    step = int(steps[0]) if len(steps) else 1
    chosen = slice(int(indices[0]), int(indices[-1]) + 1, step)
    index: Any = (..., chosen, *(slice(None),) * (-axis - 1))
    view: NDArray[Any] = values[index]
    return view


def _with(box: Box, axis: int, begin: int, end: int) -> Box:
    """``box`` with another extent along ``axis``."""
    return Box((*box.begin[:axis], begin, *box.begin[axis + 1 :]), (*box.end[:axis], end, *box.end[axis + 1 :]))
