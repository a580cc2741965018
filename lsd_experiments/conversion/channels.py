"""One channel of a volume, as a volume: of [c, z, y, x], or of a TIFF with red, green and blue."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays import Volume, tiff
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box, Nanometres


def one_channel(volume: Volume, number: int) -> Volume:
    """Channel ``number``, from 0, of ``volume`` [c, z, y, x], as [z, y, x].

    :raises UserError: if there is none
    """
    if volume.channels is None:
        raise UserError(f"{volume.name} is [z, y, x], without channels. Leave out --channel")
    if number >= volume.channels:
        raise UserError(f"{volume.name} has the channels 0 to {volume.channels - 1}. Name one of them as --channel")
    return replace(volume, array=_Channel(volume.array, number), channels=None, attrs={})


@dataclass(frozen=True)
class _Channel:
    """``array`` [..., c, z, y, x] at one channel, [..., z, y, x]."""

    array: Any
    number: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.array.shape[:-4], *self.array.shape[-3:])

    @property
    def dtype(self) -> Any:
        return self.array.dtype

    @property
    def chunks(self) -> tuple[int, ...] | None:
        chunks = getattr(self.array, "chunks", None)
        return (*chunks[:-4], *chunks[-3:]) if chunks else None

    def __getitem__(self, index: tuple[Any, ...]) -> NDArray[Any]:
        return np.asarray(self.array[(*index[:-3], self.number, *index[-3:])])


def open_colours(path: Path, voxel_size: Nanometres | None) -> Volume | None:
    """The TIFF stack ``path``, a file or a directory of sections, as [c, z, y, x]; None if it has no channels.

    :raises UserError: if it is no TIFF, has other axes than these, or no voxel size
    """
    import tifffile

    files = tiff._sections(path) if path.is_dir() else [path]
    try:
        with tifffile.TiffFile(files[0]) as file:
            axes, shape, dtype = file.series[0].axes, file.series[0].shape, file.series[0].dtype
            stored, offset = (None, None) if path.is_dir() else tiff._world(file, str(path))
    except (OSError, tifffile.TiffFileError, IndexError) as error:
        raise UserError(f"{files[0]}: cannot be read as TIFF ({error}). Fetch or make it again") from error
    lengths = {axis: n for axis, n in zip(axes, shape, strict=True) if n > 1 or axis in "YX"}
    channel = next((axis for axis in "SC" if axis in lengths), None)
    if channel is None:
        return None
    others = [axis for axis in lengths if axis not in ("Y", "X", channel)]
    if len(others) > 1 - path.is_dir() or not {*"YX"} <= {*lengths}:
        raise UserError(f"{path}: a TIFF of shape {shape} (axes {axes}); it must be sections with channels. Make it again")
    if voxel_size is None and stored is None:
        raise UserError(f"{path}: stores no voxel size. Name it by --voxel-size Z Y X, in nm")
    order = [axes.index(axis) for axis in (channel, *others, "Y", "X")]
    depth = len(files) if path.is_dir() else lengths[others[0]] if others else 1
    array = _Colours(files, tuple(order), (lengths[channel], depth, lengths["Y"], lengths["X"]), np.dtype(dtype))
    return Volume(str(path), "", array, voxel_size or stored or (), offset or (0.0, 0.0, 0.0), Box.of_shape(array.shape[1:]),
                  channels=array.shape[0])


@dataclass(frozen=True)
class _Colours:
    """Files, each of one section or the only one, of the axes ``order`` as [c, z, y, x]."""

    files: list[Path]
    order: tuple[int, ...]
    shape: tuple[int, ...]
    dtype: Any

    @property
    def chunks(self) -> tuple[int, ...]:
        return (self.shape[0], 1, *self.shape[2:])

    def __getitem__(self, index: tuple[Any, ...]) -> NDArray[Any]:
        channel, z, y, x = index
        if len(self.files) == 1:
            return np.array(self._whole[index])
        return np.stack([self._read(self.files[i], 1)[channel, 0, y, x] for i in range(*z.indices(self.shape[1]))], axis=-3)

    @cached_property
    def _whole(self) -> NDArray[Any]:
        return self._read(self.files[0], self.shape[1])

    def _read(self, file: Path, depth: int) -> NDArray[Any]:
        """The file as [c, z, y, x]: mapped where it is not compressed, else in memory."""
        import tifffile

        expected = (self.shape[0], depth, *self.shape[2:])
        try:
            values = tifffile.memmap(file, mode="r")
        except ValueError:
            values = tifffile.imread(file)
        if values.ndim <= max(self.order) or values.dtype != self.dtype:
            raise UserError(f"{file}: a section of shape {values.shape} and type {values.dtype} among others of {self.dtype}")
        turned = np.transpose(values, (*self.order, *(a for a in range(values.ndim) if a not in self.order)))
        if turned.size != np.prod(expected):
            raise UserError(f"{file}: a section of shape {values.shape} among others of {expected[2:]}")
        return turned.reshape(expected)
