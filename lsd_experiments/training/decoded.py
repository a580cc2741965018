"""Chunks of training volumes, decoded once by each process: small networks would spend a sixth of their training on it.

Voxels are in memory that forked workers share, and each process decodes what it has not read yet::

    chunks that were read        by worker 0  x x . .      by worker 1  . x x .
    memory, of both                           x x x .      both write the same
"""

import logging
import math
import mmap
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays import Volume
from lsd_experiments.blockwise.machine import available_memory
from lsd_experiments.geometry import Box

SHARE = 8  # one part in so many of the memory that is available, at most
PIECE = 2**25  # bytes that a process decodes at a time, at most, unless a single chunk has more

logger = logging.getLogger(__name__)


class Room:
    """Memory for decoded volumes; what does not fit in is decoded whenever it is read.

    ``size``: in bytes; None: an eighth of what is available.
    """

    def __init__(self, size: int | None = None) -> None:
        self.left = available_memory() // SHARE if size is None else size

    def decoded(self, volume: Volume) -> "Decoded | None":
        """Room for ``volume``, if there is enough, and if it has chunks at all, and no channels."""
        size = _bytes_of(volume)
        if volume.chunks is None or volume.channels is not None or not 0 < size <= self.left:
            return None
        try:
            decoded = Decoded(volume)
        except OSError as error:  # a limit of another kind, such as ulimit -v
            logger.debug("%s: no memory to keep what is decoded (%s)", volume.name, error)
            return None
        self.left -= size
        return decoded


class Decoded:
    """The voxels of ``volume`` [z, y, x] that were read once."""

    def __init__(self, volume: Volume) -> None:
        assert volume.chunks is not None
        self.volume, self.chunks = volume, volume.chunks
        # Chunks, seen from the volume's first voxel, begin before it where the volume is a crop.
        self.first = tuple(-(b % c) for b, c in zip(volume.region.begin, self.chunks, strict=True))
        grid = [-(-(n - f) // c) for n, f, c in zip(volume.shape, self.first, self.chunks, strict=True)]
        self.there = np.zeros(grid, bool)
        self.values = np.frombuffer(mmap.mmap(-1, _bytes_of(volume)), volume.dtype).reshape(volume.shape)

    def read(self, volume: Volume, box: Box) -> NDArray[np.generic]:
        """As ``volume.read(box)``, where ``volume`` is the one that this is of, perhaps opened again by this process."""
        if box.empty or not self.volume.box.contains(box):
            return volume.read(box)
        for numbers in self._missing(self._chunks_of(box)):
            voxels = self._voxels_of(numbers)
            self.values[voxels.slices] = volume.read(voxels)
            self.there[numbers.slices] = True
        return self.values[box.slices].copy()

    def _missing(self, numbers: Box) -> Iterator[Box]:
        """Those chunks of ``numbers`` that were not read, in boxes that hold no other; remote ones of a box come side by side."""
        missing = np.argwhere(~self.there[numbers.slices])
        if not len(missing):
            return
        numbers = Box(tuple(missing.min(0).tolist()), tuple((missing.max(0) + 1).tolist())).shift(numbers.begin)
        count = math.prod(numbers.shape)
        small = count * math.prod(self.chunks) * self.volume.dtype.itemsize <= PIECE
        if count == 1 or (small and count == len(missing)):
            yield numbers
            return
        axis = int(np.argmax(numbers.shape))
        middle = (numbers.begin[axis] + numbers.end[axis]) // 2
        yield from self._missing(Box(numbers.begin, (*numbers.end[:axis], middle, *numbers.end[axis + 1:])))
        yield from self._missing(Box((*numbers.begin[:axis], middle, *numbers.begin[axis + 1:]), numbers.end))

    def _chunks_of(self, box: Box) -> Box:
        """The numbers of the chunks that ``box`` touches."""
        begin = tuple((b - f) // c for b, f, c in zip(box.begin, self.first, self.chunks, strict=True))
        end = tuple(-(-(e - f) // c) for e, f, c in zip(box.end, self.first, self.chunks, strict=True))
        return Box(begin, end)

    def _voxels_of(self, numbers: Box) -> Box:
        """The volume's voxels in the chunks of ``numbers``."""
        begin, end = (
            tuple(f + n * c for f, n, c in zip(self.first, corner, self.chunks, strict=True))
            for corner in (numbers.begin, numbers.end)
        )
        return Box(begin, end).intersect(self.volume.box)


def _bytes_of(volume: Volume) -> int:
    return math.prod(volume.shape) * volume.dtype.itemsize
