"""Ids with a meaning, as in CREMI's clefts: 2^64 - 1 is no object, 2^64 - 2 is not known, so that nothing is learned there.

Labels that have one of them anywhere are read with 0 for both, and with a volume of where they are known. If 2^64 - 1 is there, 0
is an object like any other, and gets another number.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays import Volume
from lsd_experiments.arrays.alignments import carried
from lsd_experiments.geometry import Box

BACKGROUND, UNKNOWN = np.uint64(2**64 - 1), np.uint64(2**64 - 2)
OBJECT_0 = np.uint64(2**62)  # even, as 0 is, and a positive number of int64, too
SLAB = 2**25  # voxels looked at together


def with_meanings(labels: Volume) -> tuple[Volume, Volume | None]:
    """``labels`` with 0 where there is no object, and 1 where they are known, or None if they are everywhere."""
    if labels.dtype != np.uint64 or labels.channels is not None:
        return labels, None
    background, unknown = _found(labels)
    if not background and not unknown:
        return labels, None
    return _wrapped(labels, _Objects(labels, background)), _wrapped(labels, _Known(labels)) if unknown else None


@dataclass(frozen=True)
class _OfLabels:
    """An array [z, y, x] that is made of labels where it is read."""

    labels: Volume

    @property
    def shape(self) -> tuple[int, ...]:
        return self.labels.shape

    @property
    def chunks(self) -> tuple[int, ...] | None:
        return self.labels.chunks

    def _ids(self, index: tuple[slice, ...]) -> NDArray[Any]:
        return self.labels.read(_box(index, self.shape))


@dataclass(frozen=True)
class _Objects(_OfLabels):
    """An array [z, y, x] of the ids of objects; ``zero``: whether 0 is one."""

    zero: bool
    dtype: Any = np.uint64

    def __getitem__(self, index: tuple[slice, ...]) -> NDArray[np.uint64]:
        ids = np.array(self._ids(index))
        if self.zero:
            ids[ids == 0] = OBJECT_0
        ids[ids >= UNKNOWN] = 0
        return ids


@dataclass(frozen=True)
class _Known(_OfLabels):
    """An array [z, y, x]: 1 where it is known what is there."""

    dtype: Any = np.uint8

    def __getitem__(self, index: tuple[slice, ...]) -> NDArray[np.uint8]:
        return np.asarray(self._ids(index) != UNKNOWN).view(np.uint8)


def _found(labels: Volume) -> tuple[bool, bool]:
    """Whether 2^64 - 1 and 2^64 - 2 are anywhere; read slab by slab."""
    depth = max(1, SLAB // max(1, labels.shape[1] * labels.shape[2]))
    background = unknown = False
    for begin in range(0, labels.shape[0], depth):
        ids = labels.read(Box((begin, 0, 0), (min(begin + depth, labels.shape[0]), *labels.shape[1:])))
        if ids.max(initial=0) >= UNKNOWN:
            background, unknown = background or bool((ids == BACKGROUND).any()), unknown or bool((ids == UNKNOWN).any())
        if background and unknown:
            break
    return background, unknown


def _wrapped(labels: Volume, array: Any) -> Volume:
    return Volume(labels.container, labels.dataset, array, labels.voxel_size, labels.offset, labels.box,
                  attrs=carried(labels))


def _box(index: tuple[slice, ...], shape: tuple[int, ...]) -> Box:
    begins, ends, _ = zip(*(at.indices(size) for at, size in zip(index, shape, strict=True)), strict=True)
    return Box(begins, ends)
