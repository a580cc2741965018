"""Values of sections at places between their pixels."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.alignment.maps import Points

# What reads the pixels from begin (y, x) to end of a section: [y, x] or [c, y, x].
Reader = Callable[[tuple[int, int], tuple[int, int]], NDArray[Any]]


def pixels(begin: tuple[int, int], shape: tuple[int, int]) -> Points:
    """[2, y, x] the pixels of a part of a section."""
    axes = (np.arange(b, b + n, dtype=np.float64) for b, n in zip(begin, shape, strict=True))
    return np.stack(np.meshgrid(*axes, indexing="ij"))


def sample(read: Reader, shape: tuple[int, int], points: Points, nearest: bool, fill: float, margin: int = 0
           ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """The values of a section of ``shape`` at ``points`` [2, y, x], and which of them lie in it; elsewhere it is ``fill``.

    Only the part that is needed is read. A place belongs to a section if its nearest pixel does.

    :param nearest: take the nearest pixel, as labels need it; else the values between four, rounded where they are integers
    :param margin: pixels beyond the section that still show its outermost ones
    """
    close, limit = np.floor(points + 0.5).astype(np.int64), np.reshape(shape, (2, 1, 1))
    inside: NDArray[np.bool_] = np.logical_and.reduce((close >= -margin) & (close < limit + margin))
    close = np.clip(close, 0, limit - 1) if margin else close
    if not inside.any():
        empty = read((0, 0), (0, 0))
        return np.full((*empty.shape[:-2], *points.shape[1:]), fill, empty.dtype), inside
    begin = [max(0, int(np.floor(axis[inside].min()))) for axis in points]
    end = [min(n, int(np.ceil(axis[inside].max())) + 1) for n, axis in zip(shape, points, strict=True)]
    begin = [min(b, int(c[inside].min())) for b, c in zip(begin, close, strict=True)]
    end = [max(e, int(c[inside].max()) + 1) for e, c in zip(end, close, strict=True)]
    values = read((begin[0], begin[1]), (end[0], end[1]))
    if nearest:
        y, x = (np.where(inside, axis - b, 0) for axis, b in zip(close, begin, strict=True))
        found = values[..., y, x]
    else:
        found = _between(values, points - np.reshape(begin, (2, 1, 1)))
    return np.where(inside, found, np.asarray(fill, values.dtype)), inside


def _between(values: NDArray[Any], points: Points) -> NDArray[Any]:
    """Bilinear; beyond the outermost pixels, theirs."""
    height, width = values.shape[-2:]
    y, x = np.clip(points[0], 0, height - 1), np.clip(points[1], 0, width - 1)
    top, left = np.minimum(y.astype(np.int64), max(0, height - 2)), np.minimum(x.astype(np.int64), max(0, width - 2))
    below, right = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    down, along = y - top, x - left
    real = values.astype(np.float64)
    upper = real[..., top, left] * (1 - along) + real[..., top, right] * along
    lower = real[..., below, left] * (1 - along) + real[..., below, right] * along
    mixed = upper * (1 - down) + lower * down
    if values.dtype.kind in "ui":
        mixed = np.rint(mixed)
    found: NDArray[Any] = mixed.astype(values.dtype)
    return found
