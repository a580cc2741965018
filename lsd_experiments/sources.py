"""Volumes as gunpowder sources, for training and prediction.

gunpowder counts in whole world units. Here its origin is the first voxel of raw, and its unit the largest that makes the
voxel size whole: 1 nm for (20, 9, 9), 1/3 nm for 100/3. Nothing of that leaves a pipeline.
"""

import dataclasses
import math
import os
from collections.abc import Callable, Sequence
from fractions import Fraction

import gunpowder as gp
import numpy as np
from gunpowder.nodes.batch_provider import BatchRequestError
from numpy.typing import NDArray

from lsd_experiments import arrays, intensity
from lsd_experiments.arrays import Volume
from lsd_experiments.arrays.resampling import Resampled
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box, Voxels

Read = Callable[[Volume, Box], NDArray[np.generic]]
# What gunpowder raises around the error of a node.
WRAPPERS = (BatchRequestError, gp.PipelineRequestError, gp.PipelineSetupError, gp.PipelineTeardownError)


def world_units(voxel_size: Sequence[float]) -> gp.Coordinate:
    """``voxel_size`` in the whole units that gunpowder counts in."""
    fractions = [Fraction(size).limit_denominator(1000) for size in voxel_size]
    unit = math.lcm(*(fraction.denominator for fraction in fractions))
    return gp.Coordinate(int(fraction * unit) for fraction in fractions)


class VolumeSource(gp.BatchProvider):
    """Reads ``volume`` as the array ``key``; each process opens the file for itself.

    ``begin``: where its first voxel lies, in voxels from gunpowder's origin. ``scaling``: the values that become 0 and 1 (see
    :mod:`lsd_experiments.intensity`); without one, values stay as they are, and floats must lie in [0, 1]. ``read``: what reads
    a box of the volume.
    """

    def __init__(
        self,
        key: gp.ArrayKey,
        volume: Volume,
        begin: Voxels,
        unit: gp.Coordinate,
        interpolatable: bool,
        scaling: intensity.Range | None = None,
        read: Read = Volume.read,
    ) -> None:
        self.key, self.volume, self.begin, self.read = key, volume, begin, read
        self.scaling = None if intensity.is_divided(volume.dtype, scaling) else scaling
        is_float = volume.dtype.kind == "f" or self.scaling is not None
        self.array_spec = gp.ArraySpec(
            roi=gp.Roi(begin, volume.shape) * unit,
            voxel_size=unit,
            interpolatable=interpolatable,
            dtype=np.dtype(np.float32) if is_float else volume.dtype,
        )
        self._opened_by = os.getpid()

    def setup(self) -> None:
        """Announce the array."""
        self.provides(self.key, self.array_spec)

    def provide(self, request: gp.BatchRequest) -> gp.Batch:
        """Read what is asked for."""
        spec = self.array_spec.copy()
        spec.roi = request[self.key].roi
        voxels = (spec.roi - self.array_spec.roi.begin) / self.array_spec.voxel_size
        batch = gp.Batch()
        batch[self.key] = gp.Array(self._read(Box(tuple(voxels.begin), tuple(voxels.end))), spec)
        return batch

    def _read(self, box: Box) -> NDArray[np.generic]:
        values = self._load(box)
        if box.empty:
            return values.astype(self.array_spec.dtype)
        if self.scaling is not None:
            return intensity.scale(values, self.scaling, self.volume.name)
        return arrays.to_unit_range(values, name=self.volume.name) if values.dtype.kind == "f" else values

    def _load(self, box: Box) -> NDArray[np.generic]:
        """What is stored there."""
        if self._opened_by != os.getpid():
            self.volume = reopened(self.volume)
            self._opened_by = os.getpid()
        return np.empty(box.shape, self.volume.dtype) if box.empty else self.read(self.volume, box)


def reopened(volume: Volume) -> Volume:
    """``volume``, for another process than the one that opened it."""
    if isinstance(volume.array, Resampled):
        return dataclasses.replace(volume, array=volume.array.of(reopened(volume.array.source)))
    opened = arrays.open_volume(volume.container, volume.dataset, voxel_size=volume.voxel_size)
    return dataclasses.replace(volume, array=opened.array)  # a crop stays one


def cause_of(error: BaseException) -> BaseException:
    """What gunpowder's nested ``error`` comes down to, as one that can be pickled.

    What a user can mend (a :class:`UserError`, or what the file system refused) stays what it is, all else is a RuntimeError.
    """
    while isinstance(error, WRAPPERS) and (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    kept = isinstance(error, (UserError, OSError, RuntimeError))
    return error if kept else RuntimeError(f"{type(error).__name__}: {error}")
