"""How far masks of many thresholds are from another mask, in one pass: what of a probability map must be kept, and the distances.

Of each voxel is kept how many of the thresholds it exceeds, its level, section by section and compressed. So masks lie in each
other: the voxels of a threshold are those of the next higher one, and some more.

- From the truth to each mask (:func:`distances_to_levels`): from the highest threshold down, only voxels that came to the mask
  are looked at, and only as far as the nearest one up to then.
- From the masks to the truth (:func:`statistics_of_levels`): the distances of a section are computed, counted and forgotten, once
  for counts and means, and once more for what follows from these: deviations, and medians.

Distances are exact, counts, medians and largest ones, too; means and deviations are sums in another order than of a mask alone.
Memory: a byte per voxel at most, 4 bytes per voxel of the other mask and 8 for its distances, and some sections.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.evaluation.mask_distances import MaskVoxels
from lsd_experiments.geometry import Box, Nanometres, Voxels

MOST = 255  # thresholds: levels are bytes
BUCKETS = 1 << 16  # of distances, by which medians are found: up to 2^32 nm
STEPS = 8  # pixels of a section that may be looked at one by one, for each that it has, before all of it is transformed


class Levels:
    """The levels of a volume of ``shape`` (z, y, x) at ascending ``limits``, added block by block."""

    def __init__(self, shape: Voxels, limits: Sequence[float]) -> None:
        from numcodecs import Blosc

        assert len(limits) <= MOST, "too many limits"
        assert all(a < b for a, b in pairwise(limits)), "limits are ascending"
        self.plane, self.depth, self.count = (shape[1], shape[2]), shape[0], len(limits)
        self._limits, self._codec = limits, Blosc("lz4", 1, Blosc.SHUFFLE)
        self._parts: list[list[tuple[tuple[slice, ...], bytes]]] = [[] for _ in range(shape[0])]
        self._has = np.zeros((shape[0], len(limits) + 1), np.bool_)

    def add(self, box: Box, values: NDArray[Any], known: NDArray[np.bool_]) -> None:
        """The ``values`` [z, y, x] of ``box``; what is not ``known`` exceeds nothing."""
        from lsd_experiments.evaluation.curve_kernels import count_levels

        limits = np.asarray(self._limits, values.dtype if values.dtype.kind == "f" else np.float64)
        levels = np.empty(values.shape, np.uint8)
        count_levels(np.ascontiguousarray(values).reshape(-1), limits, levels.reshape(-1))
        levels[~known] = 0
        for z, section in enumerate(levels, start=box.begin[0]):
            self._has[z] |= np.bincount(section.reshape(-1), minlength=self.count + 1) > 0
            if section.any():
                self._parts[z].append((box.slices[1:], self._codec.encode(section)))

    def section(self, z: int) -> NDArray[np.uint8]:
        """[y, x] those of section ``z``."""
        whole = np.zeros(self.plane, np.uint8)
        for place, part in self._parts[z]:
            found = np.frombuffer(self._codec.decode(part), np.uint8)
            whole[place] = found.reshape([s.stop - s.start for s in place])
        return whole

    def has(self, z: int, level: int) -> bool:
        """Whether section ``z`` has voxels of ``level``."""
        return bool(self._has[z, level])


def distances_to_levels(sources: MaskVoxels, levels: Levels, voxel_size: Nanometres) -> Iterator[list[NDArray[np.float64]]]:
    """From the highest threshold down: of each section, [n] how far each voxel of ``sources`` is from the mask, nm; inf if it is
    empty.

    :param voxel_size: (z, y, x) in nm
    """
    best = [np.full(len(voxels), np.inf) for voxels in sources.sections]
    worst = [np.inf if len(voxels) else 0.0 for voxels in sources.sections]
    for level in range(levels.count, 0, -1):
        for z in range(levels.depth):
            apart = [float(((z - other) * voxel_size[0]) ** 2) for other in range(levels.depth)]
            near = [other for other, far in enumerate(worst) if apart[other] < far]
            if near and levels.has(z, level):
                _lower(best, worst, sources, levels.section(z), level, {other: apart[other] for other in near}, voxel_size)
        yield [np.sqrt(squared) for squared in best]


def _lower(best: list[NDArray[np.float64]], worst: list[float], sources: MaskVoxels, section: NDArray[np.uint8], level: int,
           apart: dict[int, float], voxel_size: Nanometres) -> None:
    """Lower ``best`` of the sections in ``apart`` by the pixels of ``section`` of ``level``; ``worst`` is the largest of each."""
    from lsd_experiments.evaluation.curve_kernels import column_distances, search_nearer
    from lsd_experiments.evaluation.distance_kernels import section_distances, take_nearer

    rows, plane = np.empty(section.shape, np.int32), None
    column_distances(section, level, rows)
    steps = STEPS * section.size
    for other, along_z in apart.items():
        if plane is None:
            steps, worst[other] = search_nearer(best[other], sources.sections[other], rows, along_z, float(voxel_size[1]),
                                                float(voxel_size[2]), steps)
            if steps >= 0:
                continue
            plane = np.empty(section.shape)
            section_distances(section == level, float(voxel_size[1]), float(voxel_size[2]), plane)
        worst[other] = take_nearer(best[other], sources.sections[other], plane.reshape(-1), along_z)


def statistics_of_levels(levels: Levels, targets: MaskVoxels, voxel_size: Nanometres, tolerance: float
                         ) -> list[tuple[dict[str, float | int | None], int]]:
    """For each threshold, ascending: ``mean``, ``std``, ``max``, ``median`` and ``count`` of how far the voxels of the mask are
    from ``targets``, as :func:`~lsd_experiments.evaluation.mask_distances.distance_statistics` has them, and how many are
    farther than ``tolerance`` (nm)."""
    from lsd_experiments.evaluation.curve_kernels import count_distances, sum_squares

    number = levels.count + 1
    counts, beyond, sums, squares = np.zeros(number, np.int64), np.zeros(number, np.int64), np.zeros(number), np.zeros(number)
    least, largest = np.full((number, BUCKETS), np.inf), np.zeros((number, BUCKETS))
    filled = np.zeros((number, BUCKETS), np.int64)
    for section, squared in _distances_of(levels, targets, voxel_size):
        count_distances(section, squared, tolerance, counts, beyond, sums, least, largest, filled)
    means = np.divide(sums, counts, out=np.zeros(number), where=counts > 0)
    above = [array[::-1].cumsum(0)[::-1] for array in (counts, beyond, sums)]  # of a threshold: its level, and all higher ones
    if not targets.count:
        return [({"mean": None, "std": None, "max": None, "count": int(n), "median": None}, int(n)) for n in above[0][1:]]
    medians = _Medians(filled, least, largest)
    for section, squared in _distances_of(levels, targets, voxel_size):
        chosen = np.empty(len(squared), np.bool_)
        sum_squares(section, squared, means, squares, medians.wanted, chosen)
        medians.add(section[chosen], squared[chosen])
    return [(_statistics(level, counts, means, squares, float(above[2][level]), float(largest[level:].max()), medians),
             int(above[1][level])) for level in range(1, number)]


def _statistics(level: int, counts: NDArray[np.int64], means: NDArray[np.float64], squares: NDArray[np.float64], total: float,
                largest: float, medians: "_Medians") -> dict[str, float | int | None]:
    count = int(counts[level:].sum())
    if not count:
        return {"mean": None, "std": None, "max": None, "count": 0, "median": None}
    mean = total / count
    spread = float((squares[level:] + counts[level:] * (means[level:] - mean) ** 2).sum())
    return {"mean": mean, "std": float(np.sqrt(spread / count)), "max": float(np.sqrt(largest)), "count": count,
            "median": medians.of(level)}


class _Medians:
    """Medians from how many distances are in which bucket (arrays [level, bucket]), and from those in the middle ones."""

    def __init__(self, filled: NDArray[np.int64], least: NDArray[np.float64], largest: NDArray[np.float64]) -> None:
        self._middles: dict[int, list[tuple[int, int, float | None]]] = {}  # buckets, places in them, the only value there
        self.wanted = np.zeros(filled.shape, np.bool_)
        self._found: list[dict[float, int]] = [{} for _ in filled]
        above = np.zeros(filled.shape[1], np.int64)
        for level in range(len(filled) - 1, 0, -1):
            above += filled[level]
            ends = above.cumsum()
            for rank in sorted({(int(ends[-1]) - 1) // 2, int(ends[-1]) // 2}) if ends[-1] else ():
                bucket = int(np.searchsorted(ends, rank, side="right"))
                low, high = least[level:, bucket].min(), largest[level:, bucket].max()
                only = float(low) if low == high else None
                self._middles.setdefault(level, []).append((bucket, rank - int(ends[bucket] - above[bucket]), only))
                self.wanted[level:, bucket] |= only is None

    def add(self, levels: NDArray[np.uint8], squared: NDArray[np.float64]) -> None:
        """Those of a section that lie in a bucket that is ``wanted``."""
        for level in np.unique(levels).tolist():
            own = self._found[level]
            for value, count in zip(*(a.tolist() for a in np.unique(squared[levels == level], return_counts=True)), strict=True):
                own[value] = own.get(value, 0) + count

    def of(self, level: int) -> float:
        """That of all distances of ``level`` and above, nm."""
        return float(np.mean([np.sqrt(self._value(level, *middle)) for middle in self._middles[level]]))

    def _value(self, level: int, bucket: int, place: int, only: float | None) -> float:
        from lsd_experiments.evaluation.curve_kernels import bucket_of

        if only is not None:
            return only
        counts: dict[float, int] = {}
        for own in self._found[level:]:
            for value, count in own.items():
                counts[value] = counts.get(value, 0) + count
        values = np.array(sorted(counts))
        values = values[[bucket_of(bits, BUCKETS) == bucket for bits in values.view(np.int64)]]
        return float(values[np.searchsorted(np.cumsum([counts[value] for value in values]), place, side="right")])


def _distances_of(levels: Levels, targets: MaskVoxels, voxel_size: Nanometres
                  ) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float64]]]:
    """Of each section with any: [y * x] levels, and the squared distance of each pixel to ``targets``."""
    from numcodecs import Blosc

    from lsd_experiments.evaluation.curve_kernels import volume_distances

    codec, after, coming = Blosc("lz4", 1, Blosc.SHUFFLE), np.full(levels.plane, -1, np.int32), []
    for z in range(levels.depth - 1, -1, -1):
        after.reshape(-1)[targets.sections[z]] = z
        coming.append(codec.encode(after))
    before, squared, size = np.full(levels.plane, -1, np.int32), np.empty(levels.plane), np.asarray(voxel_size, np.float64)
    for z, kept in enumerate(reversed(coming)):
        before.reshape(-1)[targets.sections[z]] = z
        section = levels.section(z)
        if section.any():
            after = np.frombuffer(codec.decode(kept), np.int32).reshape(levels.plane)
            volume_distances(before, after, z, size, squared)
            yield section.reshape(-1), squared.reshape(-1)
