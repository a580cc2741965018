"""Raw as it is: its range, and sections that are empty, saturated or repeated."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lsd_experiments import intensity
from lsd_experiments.arrays import Volume
from lsd_experiments.geometry import Box

SLAB, SLABS = 32, 16  # sections read at a time, and how many times of a deep volume
WINDOW = 512  # voxels along y and x of a section that are looked at, about its middle
SATURATED = 0.2  # of a section at the least, or at the greatest, value of its type
PERCENTILES = (0.1, 1, 50, 99, 99.9)


@dataclass(frozen=True)
class RawLook:
    """``percentiles``: the values at :data:`PERCENTILES`. The sections' numbers are those of raw, from 0."""

    percentiles: tuple[float, ...]
    sections_seen: int
    empty: list[int] = field(default_factory=list)
    saturated: list[int] = field(default_factory=list)
    repeated: list[int] = field(default_factory=list)


def look_at_raw(raw: Volume, number: int = 0) -> RawLook:
    """What ``raw`` holds, whose first section has this ``number``; of a large volume, a sample of its voxels and sections."""
    values = intensity.sample(raw).astype(np.float64)
    percentiles = tuple(np.percentile(values[:: max(1, len(values) // intensity.THINNED)], PERCENTILES).tolist())
    low, high = intensity.type_range(raw.dtype) if raw.dtype.kind in "ui" else (-np.inf, np.inf)
    seen: set[int] = set()
    odd: dict[str, set[int]] = {"empty": set(), "saturated": set(), "repeated": set()}
    for first, slab in _slabs(raw):
        for z, section in enumerate(slab, first):
            seen.add(z)
            if section.min() == section.max():
                odd["empty"].add(z)
            elif max(np.mean(section == low), np.mean(section == high)) > SATURATED:
                odd["saturated"].add(z)
            elif z > first and np.array_equal(section, slab[z - first - 1]):
                odd["repeated"].add(z)
    return RawLook(percentiles, len(seen), **{kind: [number + z for z in sorted(there)] for kind, there in odd.items()})


def _slabs(raw: Volume) -> Iterator[tuple[int, NDArray[np.generic]]]:
    """Windows [z, y, x] of sections that follow each other, and the number of the first; neighbours overlap by a section."""
    depth = raw.shape[0]
    begins = list(range(0, max(1, depth - 1), SLAB - 1))
    if len(begins) > SLABS:
        begins = [begins[round(i * (len(begins) - 1) / (SLABS - 1))] for i in range(SLABS)]
    middle = [max(0, (size - WINDOW) // 2) for size in raw.shape[1:]]
    for begin in begins:
        box = Box.of_shape((SLAB, WINDOW, WINDOW), (begin, *middle)).intersect(raw.box)
        yield begin, raw.read(box)
