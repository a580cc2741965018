"""Images as networks get them: stretched to 0 to 255, scaled, padded, in the network's range; read box by box.

    image      |-------------------|
    padded  |..|-------------------|..|     voxels are counted from here, in voxels of the scaled image
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays import Volume, list_datasets, open_volume
from lsd_experiments.errors import UserError
from lsd_experiments.families.pytc.configuration import Config
from lsd_experiments.families.pytc.samples.configured import find_files
from lsd_experiments.families.pytc.samples.sources import RAW, extremes, mirror, open_pattern, place_of, to_uint8
from lsd_experiments.families.pytc.samples.tiles import is_tiling, open_tiles
from lsd_experiments.geometry import Box, Voxels

EPSILON = 1e-6  # of the published stretching, whose whole numbers so become one less
UNIT = (1.0, 1.0, 1.0)
Pads = tuple[tuple[int, int], ...]
Limits = tuple[float, float]


@dataclass(frozen=True)
class Image:
    """An image [z, y, x]. ``low_high``: what becomes 0 and 255; None: it stays as it is, uint8. ``parity``: as published."""

    volume: Volume
    low_high: tuple[float, float] | None
    pads: Pads
    mode: str = "reflect"
    scale: tuple[float, ...] = UNIT
    mean: float = 0.5
    std: float = 0.5
    parity: bool = False

    @property
    def inner_shape(self) -> Voxels:
        """Scaled, without padding."""
        return tuple(round(size * by) for size, by in zip(self.volume.shape, self.scale, strict=True))

    @property
    def shape(self) -> Voxels:
        """Scaled and padded."""
        return tuple(size + before + behind for size, (before, behind) in zip(self.inner_shape, self.pads, strict=True))

    def read(self, box: Box) -> NDArray[np.float32]:
        """``box``, of which all lies in :attr:`shape`, as the network gets it."""
        return self.in_range(self.grays(box))

    def in_range(self, grays: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Gray values as the network gets them."""
        all_grays = np.arange(256, dtype=np.float32) / np.float32(255)
        return looked_up((all_grays - np.float32(self.mean)) / np.float32(self.std), grays)

    def grays(self, box: Box) -> NDArray[np.uint8]:
        """``box``, of which all lies in :attr:`shape`, stretched to 0 to 255, scaled and padded."""
        where = [np.arange(begin, end) - before for begin, end, (before, _) in zip(box.begin, box.end, self.pads, strict=True)]
        places = [mirrored(at, size, self.mode) for at, size in zip(where, self.inner_shape, strict=True)]
        inner = Box(tuple(int(at.min()) for at in places), tuple(int(at.max()) + 1 for at in places))
        values = self._scaled(inner)
        values = values[np.ix_(*(at - begin for at, begin in zip(places, inner.begin, strict=True)))]
        if self.mode == "constant":
            outside = [(at < 0) | (at >= size) for at, size in zip(where, self.inner_shape, strict=True)]
            values[outside[0]], values[:, outside[1]], values[:, :, outside[2]] = 0, 0, 0
        return values

    def _scaled(self, box: Box) -> NDArray[np.uint8]:
        """As scipy's zoom of order 1 gives all of it: the outermost voxels stay where they are."""
        if self.inner_shape == self.volume.shape:
            return self._stretched(box)
        axes = [_between(range(begin, end), size, length)
                for begin, end, size, length in zip(box.begin, box.end, self.inner_shape, self.volume.shape, strict=True)]
        needed = Box(tuple(int(low.min()) for low, _ in axes),
                     tuple(min(int(low.max()) + 2, size) for (low, _), size in zip(axes, self.volume.shape, strict=True)))
        values = self._stretched(needed).astype(np.float64)
        for axis, ((low, part), begin) in enumerate(zip(axes, needed.begin, strict=True)):
            above = np.minimum(low + 1 - begin, values.shape[axis] - 1)
            weight = part.reshape([-1 if one == axis else 1 for one in range(3)])
            values = values.take(low - begin, axis) * (1 - weight) + values.take(above, axis) * weight
        return (values + 0.5).astype(np.uint8)

    def _stretched(self, box: Box) -> NDArray[np.uint8]:
        values = self.volume.read(box)
        if self.low_high is None or (self.low_high == (0, 255) and values.dtype == np.uint8 and not self.parity):
            return values
        if values.dtype == np.uint8:
            return looked_up(stretched(np.arange(256), *self.low_high, self.parity), values)
        return stretched(values, *self.low_high, self.parity)


def looked_up(table: NDArray[Any], values: NDArray[np.uint8]) -> NDArray[Any]:
    """What ``table`` has for each of ``values`` [z, y, x]; section by section, since an index takes eight bytes a voxel."""
    found = np.empty(values.shape, table.dtype)
    for section, grays in enumerate(values):
        found[section] = table[grays]
    return found


def stretched(values: NDArray[Any], low: float, high: float, parity: bool) -> NDArray[np.uint8]:
    """``low`` as 0 and ``high`` as 255; what is outside is cut. ``parity``: as published."""
    if not parity:
        return to_uint8(values, low, high)
    above: NDArray[np.float64] = np.clip(values, low, high).astype(np.float64) - low
    return np.asarray(above / (high - low + EPSILON) * 255).astype(np.uint8)


def mirrored(at: NDArray[np.int64], size: int, mode: str) -> NDArray[np.int64]:
    """Which of ``size`` voxels is at each place, as numpy pads: ``reflect`` counts the outermost once, ``symmetric`` twice."""
    return np.clip(at, 0, size - 1) if mode == "constant" else mirror(at, size, mode == "symmetric")


def open_images(config: Config, parity: bool = False) -> list[Image]:
    """The images of ``DATASET.IMAGE_NAME``, of a configuration for inference.

    :param parity: values are stretched as published, which makes them one less
    :raises UserError: if one is not there, or of a type that is not read
    """
    return [open_as_configured(config, path, parity) for path in image_paths(config)]


def image_paths(config: Config) -> list[Path]:
    """Where the images are: names are below INPUT_PATH, several of them a list, joined by ``@``, or lines of a .txt file.

    :raises UserError: if there is none, or they are not as many as directories
    """
    dataset = config.DATASET
    if not dataset.IMAGE_NAME:
        raise config.wrong("DATASET.IMAGE_NAME", "names no image. Set INFERENCE.IMAGE_NAME")
    return find_files(dataset.INPUT_PATH, dataset.IMAGE_NAME, dataset.IS_ABSOLUTE_PATH, "DATASET.IMAGE_NAME")


def pads_of(config: Config) -> Pads:
    """The padding before and behind, along each axis."""
    pad = config.DATASET.PAD_SIZE
    return tuple((int(pad[2 * axis]), int(pad[2 * axis + 1])) if len(pad) == 6 else (int(pad[axis]),) * 2 for axis in range(3))


def find_range(volume: Volume) -> tuple[float, float]:
    """The least and the greatest value of a volume.

    :raises UserError: if one is not finite
    """
    found = extremes(volume)
    if not np.isfinite(found).all():
        raise UserError(f"{volume.name}: holds values that are not finite. Replace them first")
    return found


def open_image(path: Path) -> Volume:
    """The volume of an image file: of HDF5 ``main``, ``volumes/raw`` or the first dataset, as published, or what the path names;
    where no voxel size is stored, voxels of 1 nm.

    Also of a JSON file of tiles, and of sections whose names fit a pattern.
    """
    if is_tiling(path):
        return open_tiles(path)
    if "*" in path.name:
        return open_pattern(path)
    path, dataset = place_of(path)
    datasets = list_datasets(path) if path.exists() else []
    default = next((name for name in RAW if name in datasets), datasets[0] if datasets else RAW[0])
    try:
        return open_volume(path, dataset, default=default)
    except UserError:
        return open_volume(path, dataset, default=default, voxel_size=UNIT)


def open_as_configured(config: Config, path: Path, parity: bool = False, known: Limits | None = None) -> Image:
    """One of :func:`open_images`; ``known``: its least and greatest value, for which all of it is read otherwise."""
    volume = open_image(path)
    if volume.channels is not None:
        raise UserError(f"{volume.name}: has {volume.channels} channels. Give an image of one, [z, y, x]")
    dataset = config.DATASET
    if not dataset.NORMALIZE_RANGE and volume.dtype != np.uint8:
        raise UserError(f"{volume.name}: is {volume.dtype}, not uint8. Set DATASET.NORMALIZE_RANGE True")
    scale = config.INFERENCE.DATA_SCALE or dataset.IMAGE_SCALE or dataset.DATA_SCALE
    low_high = known or find_range(volume) if dataset.NORMALIZE_RANGE else None
    return Image(volume, low_high, pads_of(config), dataset.PAD_MODE, tuple(scale), dataset.MEAN, dataset.STD, parity)


def _between(at: range | Sequence[int], size: int, length: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Of places among ``size``, the voxel of ``length`` that is below, and how far above it they are, 0 to 1."""
    exact = np.asarray(at, float) * ((length - 1) / max(1, size - 1))
    low = np.minimum(np.floor(exact).astype(np.int64), length - 1)
    return low, exact - low
