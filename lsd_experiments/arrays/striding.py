"""Every n-th voxel of a volume, as a volume: sub-sampling that keeps labels, since nothing is averaged.

    voxels of the source    0 1 2 3 4 5 6 7        every third of 8
    voxels that are left    0     1     2          offset as before, voxels three times as large
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays.volume import Volume
from lsd_experiments.geometry import Box, Voxels


def strided(volume: Volume, factors: Sequence[int]) -> Volume:
    """The voxels of ``volume`` whose index is a multiple of ``factors`` (z, y, x), read as they are asked for; never written.

    Its attributes are empty: what they say is of all voxels.
    """
    assert min(factors) >= 1, f"{factors} are no strides"
    array = _Strided(volume, tuple(factors))
    voxel_size = tuple(v * f for v, f in zip(volume.voxel_size, factors, strict=True))
    return Volume(volume.container, volume.dataset, array, voxel_size, volume.offset, Box.of_shape(array.shape[-3:]),
                  volume.channels)


@dataclass(frozen=True)
class _Strided:
    """An array [z, y, x] or [c, z, y, x]; ``source`` is read contiguously, since HDF5 is slow at single voxels."""

    source: Volume
    factors: Voxels

    @property
    def shape(self) -> tuple[int, ...]:
        spatial = tuple(-(-s // f) for s, f in zip(self.source.shape, self.factors, strict=True))
        return spatial if self.source.channels is None else (self.source.channels, *spatial)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.source.dtype

    @property
    def chunks(self) -> Voxels | None:
        """About those of the source, so that none is read often."""
        chunks = self.source.chunks
        return tuple(max(1, c // f) for c, f in zip(chunks, self.factors, strict=True)) if chunks else None

    def __getitem__(self, index: tuple[Any, ...]) -> NDArray[Any]:
        *leading, z, y, x = index
        begin = [s.start * f for s, f in zip((z, y, x), self.factors, strict=True)]
        end = [(s.stop - 1) * f + 1 for s, f in zip((z, y, x), self.factors, strict=True)]
        values = self.source.read(Box(tuple(begin), tuple(end)))
        return values[(*leading, *(slice(None, None, f) for f in self.factors))]
