"""TIFF stacks: one file [z, y, x] or [c, z, y, x]; colours are channels.

The voxel size comes from ImageJ's or OME's metadata, or is given. What :mod:`tiff_writing` wrote says it to the last bit, and
the offset; other stacks begin at 0.
"""

import logging
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays.sections import SectionArray
from lsd_experiments.arrays.tiff_pages import Layout, open_tiff, page_values, quiet_tiff, read_layout, samples_first
from lsd_experiments.arrays.tiff_world import stack_world
from lsd_experiments.arrays.volume import Volume
from lsd_experiments.errors import NoVoxelSize, UserError
from lsd_experiments.geometry import Box, Nanometres

logger = logging.getLogger(__name__)


class TiffStack(SectionArray):
    """The sections of one file."""

    def __init__(self, path: Path, layout: Layout) -> None:
        self.path, self.layout = path, layout
        plane = samples_first(layout.page_shape, layout.samples_axis)
        *channels, depth = layout.pages.shape
        super().__init__((*channels, *plane[:-2], depth, *plane[-2:]), layout.dtype)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_mapped"}

    @cached_property
    def _mapped(self) -> Any | None:
        """The file as a memory map, or None if it is compressed, tiled, or has gaps."""
        if self.layout.data_offset is None:
            return None
        with self.path.open("rb") as file:
            dtype = self.dtype.newbyteorder("<" if file.read(2) == b"II" else ">")
        return np.memmap(self.path, dtype, "r", self.layout.data_offset, self.shape)

    def __getitem__(self, index: tuple[Any, ...]) -> NDArray[Any]:
        return super().__getitem__(index) if self._mapped is None else np.array(self._mapped[index])

    def sections(self, numbers: range) -> Iterator[NDArray[Any]]:
        """The sections ``numbers``, [y, x] or [c, y, x] each."""
        with quiet_tiff(self.path) as file:
            for number in numbers:
                pages = np.atleast_1d(self.layout.pages[..., number])
                read = [page_values(file.pages[int(page)], self.path, self.layout) for page in pages]
                yield read[0] if self.layout.pages.ndim == 1 else np.stack(read)


def open_stack(path: Path, dataset: str | None, voxel_size: Nanometres | None) -> Volume:
    """The stack in the file ``path``.

    :param voxel_size: (z, y, x) in nm; comes before the stored one
    :raises UserError: if ``dataset`` is not None, the file is damaged, holds no single stack, or has no voxel size.
    """
    if dataset:
        raise UserError(f"{path}: a TIFF stack has no datasets, '{dataset}' was asked for. Write - in place of the dataset, or "
                        "leave it empty")
    if not path.exists():
        raise UserError(f"{path}: no such file or directory")
    with open_tiff(path) as file:
        layout = read_layout(file, path)
        stored, offset = stack_world(file, str(path), voxel_size)
    if layout.remark:
        logger.warning("%s: %s", path, layout.remark)
    if stored is None:
        raise no_voxel_size(path)
    array = TiffStack(path, layout)
    return Volume(str(path), "", array, stored, offset or (0.0, 0.0, 0.0), Box.of_shape(array.shape[-3:]),
                  array.shape[0] if len(array.shape) == 4 else None)


def no_voxel_size(path: Path) -> NoVoxelSize:
    """What to say of a stack without a voxel size."""
    return NoVoxelSize(f"{path}: stores no voxel size. Name a crop file (.json) instead that has "
                     f'{{"container": "{path.name}", "voxel_size": [z, y, x]}} in nm, or pass --voxel-size where a '
                     "command takes it")
