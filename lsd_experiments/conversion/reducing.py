"""A volume at half its resolution: of labels the most frequent id of each few voxels, of raw their mean, or the first of them.

    mode      1 1        mean      10 11        nearest   1 2
              2 3  -> 1            12 14  -> 12           3 4  -> 1

Voxels outside of the volume do not count. Of ids that are equally frequent it is the first one in z, y, x order. Means of
integers are rounded, halves to even.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays import Volume
from lsd_experiments.arrays.levels import Level
from lsd_experiments.geometry import Box

WAYS = ("mean", "mode", "nearest")
PIECE = 64  # voxels along each axis that are made at a time


def read_reduced(finer: Volume, level: Level, box: Box, how: str) -> NDArray[Any]:
    """The voxels of ``box`` of ``level``, [z, y, x] or [c, z, y, x], of ``finer``, the level before."""
    channels = () if finer.channels is None else (finer.channels,)
    values = np.empty((*channels, *box.shape), finer.dtype)
    for piece in box.blocks((PIECE,) * 3):
        part = piece.intersect(box)
        wanted = level.below(part)
        inside = wanted.intersect(finer.box)
        missing = [(i - b, e - j) for b, i, j, e in zip(wanted.begin, inside.begin, inside.end, wanted.end, strict=True)]
        # Doubled, the voxels that are there weigh as much as before.
        found = np.pad(finer.read(inside), [(0, 0)] * len(channels) + missing, "edge")
        z, y, x = part.shift([-b for b in box.begin]).slices
        values[..., z, y, x] = reduce(found, level.factors, how)
    return values


def reduce(values: NDArray[Any], factors: Sequence[int], how: str) -> NDArray[Any]:
    """One voxel for each ``factors`` (z, y, x) of ``values`` [..., z, y, x], whose shape is a multiple."""
    fz, fy, fx = factors
    parts = [np.ascontiguousarray(values[..., z::fz, y::fy, x::fx]) for z, y, x in itertools.product(*map(range, factors))]
    if how == "nearest" or len(parts) == 1:
        return parts[0]
    return _mode(parts) if how == "mode" or values.dtype.kind == "b" else _mean(parts)


def _mode(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    counts = np.ones((len(parts), *parts[0].shape), np.uint8)
    for i, j in itertools.combinations(range(len(parts)), 2):
        same = parts[i] == parts[j]
        counts[i] += same
        counts[j] += same
    found, most = parts[0].copy(), counts[0].copy()
    for part, count in zip(parts[1:], counts[1:], strict=True):
        np.copyto(found, part, where=count > most)
        np.maximum(most, count, out=most)
    return found


def _mean(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    dtype, count = parts[0].dtype, len(parts)
    if dtype.kind == "f":
        with np.errstate(invalid="ignore"):  # of infinities of both signs
            return np.asarray(np.mean(parts, axis=0, dtype=np.float64).astype(dtype))
    # The whole parts and what is left of them, so that integers of 64 bits do not overflow, and stay exact.
    whole = np.sum([part // count for part in parts], axis=0, dtype=dtype)
    rest = np.sum([part % count for part in parts], axis=0, dtype=np.int64)
    odd = (whole & 1).astype(np.int64)
    rounded = np.rint(rest / count + odd).astype(np.int64) - odd  # a half goes to what is even then
    return np.asarray(whole + rounded.astype(dtype))
