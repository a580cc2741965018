"""Blocks of aligned volumes, and of what is brought back."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.alignment.maps import Points
from lsd_experiments.alignment.record import Alignment
from lsd_experiments.alignment.sampling import Reader, pixels, sample
from lsd_experiments.arrays import Volume
from lsd_experiments.geometry import Box

KEPT = 2**27  # bytes of slabs that are kept for the next section


@dataclass
class _Sections:
    """Sections of a volume; what was read for one is kept for the next, which lies beside it in the same chunks."""

    volume: Volume

    def __post_init__(self) -> None:
        self._box, self._values = Box((0, 0, 0), (0, 0, 0)), np.zeros(0)

    def reader(self, z: int) -> Reader:
        """What reads parts of section ``z``."""
        def read(begin: tuple[int, int], end: tuple[int, int]) -> NDArray[Any]:
            part = Box((z, *begin), (z + 1, *end))
            if not self._box.contains(part) or part.empty:
                self._load(part)
            z_slice, y_slice, x_slice = part.shift([-b for b in self._box.begin]).slices
            return np.asarray(self._values[..., z_slice, y_slice, x_slice][..., 0, :, :])
        return read

    def _load(self, part: Box) -> None:
        z = part.begin[0]
        depth = (self.volume.chunks or (1,))[0] if not part.empty else 1
        size = (part.end[1] - part.begin[1]) * (part.end[2] - part.begin[2]) * self.volume.dtype.itemsize
        if depth * size * (self.volume.channels or 1) > KEPT:
            depth = 1
        first = (z + self.volume.region.begin[0]) // depth * depth - self.volume.region.begin[0]
        margin = (0, 8, 8) if depth > 1 else (0, 0, 0)  # the next section lies a little beside
        wide = Box((first, *part.begin[1:]), (first + depth, *part.end[1:])).grow(margin).intersect(self.volume.box)
        self._box = part if part.empty else wide
        self._values = self.volume.read(self._box) if not self._box.empty else self._nothing(self._box)

    def _nothing(self, box: Box) -> NDArray[Any]:
        leading = () if self.volume.channels is None else (self.volume.channels,)
        return np.zeros((*leading, *box.shape), self.volume.dtype)


def aligner(volume: Volume, alignment: Alignment, nearest: bool, fill: float, is_raw: bool, margin: int = 0
            ) -> Callable[[Box], NDArray[Any]]:
    """What makes a block of the aligned ``volume``, which is on the stack's grid, or begins within it.

    :param nearest: for labels
    :param fill: where no section is
    :param is_raw: sections whose raw is missing show that of another one
    :param margin: pixels around a section that show its outermost ones, so that these come back where sections are turned
    """
    sections, shift = _Sections(volume), _shift(volume, alignment)

    def make(box: Box) -> NDArray[Any]:
        def section(z: int) -> NDArray[Any]:
            aligned = alignment.sections[z]
            source = aligned.raw_source if is_raw else aligned.source
            place = source - shift[0]
            if not 0 <= place < volume.shape[0]:
                return _filled(volume, box, fill)
            points = alignment.maps[source].to_section(pixels((box.begin[1], box.begin[2]), (box.shape[1], box.shape[2])))
            shape = (volume.shape[1], volume.shape[2])
            return sample(sections.reader(place), shape, _less(points, shift), nearest, fill, margin)[0]
        return np.stack([section(z) for z in range(box.begin[0], box.end[0])], axis=-3)
    return make


def unaligner(volume: Volume, alignment: Alignment, nearest: bool, fill: float) -> Callable[[Box], tuple[NDArray[Any],
NDArray[Any]]]:
    """What makes a block of the stack from ``volume`` on the aligned grid, and [z, y, x] uint8 where there was a source."""
    sections = _Sections(volume)
    begin = _begin(volume, alignment)
    places = {one.source: z for z, one in enumerate(alignment.sections)}

    def make(box: Box) -> tuple[NDArray[Any], NDArray[Any]]:
        def section(source: int) -> tuple[NDArray[Any], NDArray[Any]]:
            z = places.get(source, -1) - begin[0] if source in places else -1
            if not 0 <= z < volume.shape[0]:
                return _filled(volume, box, fill), np.zeros(box.shape[1:], np.uint8)
            points, in_gap = alignment.maps[source].to_aligned(
                pixels((box.begin[1], box.begin[2]), (box.shape[1], box.shape[2])))
            found, inside = sample(sections.reader(z), (volume.shape[1], volume.shape[2]), _less(points, begin), nearest, fill)
            known = inside & ~in_gap
            return np.where(known, found, np.asarray(fill, found.dtype)), known.astype(np.uint8)
        made = [section(source) for source in range(box.begin[0], box.end[0])]
        return np.stack([values for values, _ in made], axis=-3), np.stack([known for _, known in made])
    return make


def _shift(volume: Volume, alignment: Alignment) -> tuple[int, ...]:
    """Where ``volume`` begins in the stack, voxels."""
    return _begins(volume, alignment.offset, alignment.voxel_size, alignment.shape, "the stack that was aligned")


def _begin(volume: Volume, alignment: Alignment) -> tuple[int, ...]:
    """Where ``volume`` begins in the aligned volumes, voxels."""
    return _begins(volume, alignment.aligned_offset, alignment.voxel_size, alignment.aligned_shape, "the aligned volumes")


def _begins(volume: Volume, offset: Any, voxel_size: Any, shape: Any, what: str) -> tuple[int, ...]:
    from lsd_experiments.arrays import check_voxel_size
    from lsd_experiments.arrays.grids import show
    from lsd_experiments.errors import UserError
    from lsd_experiments.geometry import to_voxels

    check_voxel_size(volume, voxel_size, f"that of {what}")
    begin = to_voxels([a - b for a, b in zip(volume.offset, offset, strict=True)], voxel_size)
    if begin is None or any(b < 0 or b + n > s for b, n, s in zip(begin, volume.shape, shape, strict=True)):
        end = [o + v * n for o, v, n in zip(offset, voxel_size, shape, strict=True)]
        raise UserError(f"{volume.name} ({show(volume.offset)} to {show(volume.end)} nm) is not part of {what}, {show(offset)} "
                        f"to {show(end)} nm, in the same voxels. Correct its offset, or name another volume")
    return begin


def _less(points: Points, begin: tuple[int, ...]) -> Points:
    return points - np.reshape(begin[1:], (2, 1, 1)) if any(begin[1:]) else points


def _filled(volume: Volume, box: Box, fill: float) -> NDArray[Any]:
    leading = () if volume.channels is None else (volume.channels,)
    return np.full((*leading, *box.shape[1:]), fill, volume.dtype)
