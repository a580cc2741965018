"""A volume as neuroglancer asks for it: an array that is read where it is looked at."""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays import Volume, check_labels, read_ids, read_mask
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box

logger = logging.getLogger(__name__)

SHOWN = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "float32")  # what neuroglancer knows
INSTEAD = {"bool": "uint8", "int64": "float32", "float16": "float32", "float64": "float32"}
IDS = ("uint8", "uint16", "uint32", "uint64")  # types of ids that are shown as they are
MESHED = 400**3  # voxels: meshes are made of the whole array in memory, and only for volumes up to this


class LazyArray:
    """``volume`` with ``shape``, ``dtype`` and slices, [z, y, x] or [c, z, y, x].

    Ids are never of a signed type; negative ones are 0 where one of ``masks`` is, and an error elsewhere. A mask is 1 where it
    counts.

    :raises UserError: if what is to be a segmentation cannot be one
    """

    def __init__(self, volume: Volume, is_segmentation: bool = False, masks: Sequence[Volume] = (),
                 is_mask: bool = False) -> None:
        if is_segmentation:
            check_labels(volume)
        self.volume, self.is_segmentation, self.masks, self.is_mask = volume, is_segmentation, masks, is_mask
        self.shape = volume.shape if volume.channels is None else (volume.channels, *volume.shape)
        name = volume.dtype.name
        shown = name if name in SHOWN else INSTEAD.get(name, "")
        self.dtype = np.dtype("uint64" if is_segmentation and shown not in IDS else "uint8" if is_mask else shown)

    def __getitem__(self, index: tuple[slice, ...]) -> NDArray[Any]:
        box = Box(tuple(s.start for s in index[-3:]), tuple(s.stop for s in index[-3:]))
        try:
            values = self._read(box)
        except UserError as error:  # the browser gets an error for this chunk, the rest is shown
            logger.warning("%s", error)
            raise ValueError(str(error)) from error
        return values[index[:-3]].astype(self.dtype, copy=False)

    def _read(self, box: Box) -> NDArray[Any]:
        if self.is_segmentation:
            return read_ids(self.volume, box, self.masks)
        return read_mask(self.volume, box) if self.is_mask else self.volume.read(box)

    def transpose(self) -> NDArray[Any]:
        """All of it, [x, y, z]: what meshes are made of."""
        return self[tuple(slice(0, n) for n in self.shape)].transpose()


def local_volume(volume: Volume, is_segmentation: bool, masks: Sequence[Volume] = (), is_mask: bool = False) -> Any:
    """``volume`` as a neuroglancer data source, placed by its voxel size and, to the nearest voxel, its offset.

    Arguments and errors as of :class:`LazyArray`.
    """
    import neuroglancer

    class LazyVolume(neuroglancer.LocalVolume):
        def get_object_mesh(self, object_id: int) -> Any:
            if np.prod(self.shape) > MESHED:
                raise neuroglancer.local_volume.MeshesNotSupportedForVolume
            return super().get_object_mesh(object_id)

    channels = () if volume.channels is None else (0,)
    return LazyVolume(LazyArray(volume, is_segmentation, masks, is_mask), dimensions=dimensions(volume),
                      voxel_offset=(*channels, *voxel_offset(volume)), volume_type="segmentation" if is_segmentation else "image")


def dimensions(volume: Volume) -> Any:
    """The coordinate space of the array ``volume``."""
    import neuroglancer

    if volume.channels is None:
        return neuroglancer.CoordinateSpace(names=["z", "y", "x"], units="nm", scales=volume.voxel_size)
    return neuroglancer.CoordinateSpace(names=["c^", "z", "y", "x"], units=["", "nm", "nm", "nm"],
                                        scales=[1, *volume.voxel_size])


def voxel_offset(volume: Volume) -> tuple[int, ...]:
    """The volume's offset in voxels, rounded."""
    return tuple(round(o / v) for o, v in zip(volume.offset, volume.voxel_size, strict=True))
