"""Sections that are not like the others: missing, dark, bright."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays import Volume
from lsd_experiments.geometry import Box

Section = NDArray[np.generic]  # [y, x]
EMPTY = 0.15  # of the usual spread of grey values: a section with less shows nothing
SLAB = 2**30  # bytes of whole chunks that are kept, at most: else they are decoded again for each of their sections
DARKER = 6.0  # usual deviations of a section's mean grey from that of others


def reader_of(raw: Volume) -> Callable[[int], Section]:
    """What reads sections of ``raw``, one slab of chunks at a time."""
    depth = (raw.chunks or (1,))[0]
    if depth * raw.shape[1] * raw.shape[2] * raw.dtype.itemsize > SLAB:
        depth = 1
    kept: dict[int, NDArray[np.generic]] = {}

    def read(z: int) -> Section:
        first = (z + raw.region.begin[0]) // depth * depth - raw.region.begin[0]
        if first not in kept:
            kept.clear()
            box = Box((first, 0, 0), (first + depth, *raw.shape[1:]))
            kept[first] = raw.read(box)
        return np.asarray(kept[first][z - first])
    return read


def sections_of(raw: Volume) -> Iterator[Section]:
    """All sections of ``raw``, in order."""
    read = reader_of(raw)
    yield from (read(z) for z in range(raw.shape[0]))


def find_unusual(means: NDArray[np.float64], spreads: NDArray[np.float64]) -> dict[str, list[int]]:
    """The sections that are ``missing``, ``dark`` and ``bright``, from the mean grey and its spread in each."""
    missing = spreads <= EMPTY * np.median(spreads[spreads > 0]) if (spreads > 0).any() else np.ones(len(spreads), np.bool_)
    if not (~missing).any():
        return {"missing": [*range(len(means))], "dark": [], "bright": []}
    usual = np.median(means[~missing])
    deviation = max(1.4826 * float(np.median(np.abs(means[~missing] - usual))), 0.02 * float(abs(usual)), 1e-6)
    apart = (means - usual) / deviation
    return {"missing": np.flatnonzero(missing).tolist(), "dark": np.flatnonzero((apart < -DARKER) & ~missing).tolist(),
            "bright": np.flatnonzero((apart > DARKER) & ~missing).tolist()}
