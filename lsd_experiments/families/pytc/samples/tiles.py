"""Volumes of tiles, as DO_CHUNK_TITLE reads them: a JSON file says where the tiles of each section are.

    {"depth": 100, "height": 4096, "width": 4096, "dtype": "uint8", "tile_size": 1024, "tile_st": [0, 0], "tile_ratio": 1,
     "image": ["s0000/{row}_{column}.png", ...]}          # one name, or pattern of names, for each section

``tile_st`` is the number of the first row and column; ``tile_ratio`` how many times larger a tile becomes when it is read.
Names are below the JSON's directory, or absolute. A tile that is not there is gray (128) in images, and 0 in labels.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pydantic
from numpy.typing import NDArray

from lsd_experiments.arrays import Volume
from lsd_experiments.arrays.section_files import read_section
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box
from lsd_experiments.settings import Settings, parse_settings

MISSING_IMAGE, MISSING_LABEL = 128, 0
Positive = Annotated[int, pydantic.Field(gt=0)]


class Tiling(Settings, extra="ignore"):
    """What a JSON file says; keys that are not read here are left alone."""

    image: tuple[str, ...]
    depth: Positive
    height: Positive
    width: Positive
    tile_size: Positive
    tile_st: tuple[int, int] = (0, 0)
    tile_ratio: Annotated[float, pydantic.Field(gt=0)] = 1
    dtype: str = "uint8"

    @pydantic.model_validator(mode="after")
    def _check(self) -> "Tiling":
        if len(self.image) != self.depth:
            raise ValueError(f"image: names {len(self.image)} sections, depth says {self.depth}")
        if self.dtype not in ("uint8", "uint16", "uint32", "uint64"):
            raise ValueError(f"dtype: {self.dtype} is none of uint8, uint16, uint32, uint64")
        for name in self.image:
            try:
                name.format(row=0, column=0)
            except (LookupError, ValueError, AttributeError):
                raise ValueError(f"image: {name} has other fields than {{row}} and {{column}}") from None
        return self


def open_tiles(path: str | Path, of_labels: bool = False) -> Volume:
    """The volume of tiles that a JSON file describes; tiles are read when they are needed.

    :raises UserError: if the file does not describe one, or the first section has no tile
    """
    path = Path(path)
    try:
        values = json.loads(path.read_text())
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}). Name the JSON file of a volume of tiles") from None
    except ValueError as error:
        raise UserError(f"{path}: is not JSON ({error}). Name the JSON file of a volume of tiles") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}: is no JSON object. Name the JSON file of a volume of tiles")
    tiling = parse_settings(values, Tiling, str(path))
    array = Tiles(tiling, path.parent, of_labels)
    if not any(array.file(0, row, column).exists() for row, column in array.of_section()):
        raise UserError(f"{path}: no tile of the first section is there, like {array.file(0, 0, 0)}. Mend 'image', or fetch them")
    return Volume(str(path), "", array, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), Box.of_shape(array.shape))


class Tiles:
    """An array [z, y, x] of tiles."""

    def __init__(self, tiling: Tiling, directory: Path, of_labels: bool) -> None:
        self.tiling, self.directory, self.of_labels = tiling, directory, of_labels
        self.shape = (tiling.depth, tiling.height, tiling.width)
        self.dtype = np.dtype(tiling.dtype)
        self.chunks = (1, min(tiling.tile_size, tiling.height), min(tiling.tile_size, tiling.width))

    def file(self, z: int, row: int, column: int) -> Path:
        """The file of a tile, counted from 0."""
        first_row, first_column = self.tiling.tile_st
        return self.directory / self.tiling.image[z].format(row=row + first_row, column=column + first_column)

    def of_section(self) -> list[tuple[int, int]]:
        """The tiles (row, column) of a section."""
        rows, columns = (-(-size // self.tiling.tile_size) for size in self.shape[1:])
        return [(row, column) for row in range(rows) for column in range(columns)]

    def __getitem__(self, index: Sequence[slice]) -> NDArray[Any]:
        (z0, z1), (y0, y1), (x0, x1) = (at.indices(size)[:2] for at, size in zip(index, self.shape, strict=True))
        size = self.tiling.tile_size
        values = np.full((z1 - z0, y1 - y0, x1 - x0), MISSING_LABEL if self.of_labels else MISSING_IMAGE, self.dtype)
        for z in range(z0, z1):
            for row in range(y0 // size, -(-y1 // size)):
                for column in range(x0 // size, -(-x1 // size)):
                    file = self.file(z, row, column)
                    if file.exists():
                        self._put(values[z - z0], self._tile(file), (row * size - y0, column * size - x0))
        return values

    def _put(self, section: NDArray[Any], tile: NDArray[Any], begin: tuple[int, int]) -> None:
        """Write ``tile``, whose first voxel is at ``begin``, where it overlaps with ``section``."""
        ends = [min(b + size, length) for b, size, length in zip(begin, tile.shape, section.shape, strict=True)]
        starts = [max(0, b) for b in begin]
        there = tuple(slice(s, max(s, e)) for s, e in zip(starts, ends, strict=True))
        section[there] = tile[tuple(slice(s - b, max(s, e) - b) for s, e, b in zip(starts, ends, begin, strict=True))]

    def _tile(self, file: Path) -> NDArray[Any]:
        values = read_section(file)
        if values.ndim == 3:
            values = colour_ids(values) if self.of_labels else values[0]
        if self.tiling.tile_ratio != 1:
            from scipy.ndimage import zoom

            values = zoom(values, self.tiling.tile_ratio, order=0 if self.of_labels else 1)
        self._check(file, values)
        return values.astype(self.dtype)

    def _check(self, file: Path, values: NDArray[Any]) -> None:
        """:raises UserError: if values are none of the type that the JSON file says"""
        if values.dtype.kind not in "bui":
            raise UserError(f"{file}: is of {values.dtype}, but tiles are whole numbers. Convert it")
        greatest = np.iinfo(self.dtype).max
        if values.dtype != self.dtype and values.size and not 0 <= int(values.min()) <= int(values.max()) <= greatest:
            raise UserError(f"{file}: has values from {values.min()} to {values.max()}, but 'dtype' of its JSON file is "
                            f"{self.dtype}, to {greatest}. Correct 'dtype', or the tile")


def colour_ids(colours: NDArray[Any]) -> NDArray[np.uint32]:
    """The ids that VAST writes as red, green and blue: [c, ...] to [...]."""
    red, green, blue = colours[:3].astype(np.uint32)
    return np.asarray((red << 16) | (green << 8) | blue)


def chunk_box(shape: Sequence[int], numbers: Sequence[int], chunk: int, overlap: bool) -> Box:
    """Chunk number ``chunk`` of a volume that is divided into ``numbers`` (z, y, x); with ``overlap`` they share halves."""
    places = np.unravel_index(chunk, tuple(numbers))
    step = 2 if overlap else 1
    begins = [int(place) * size // (count + step - 1) for place, count, size in zip(places, numbers, shape, strict=True)]
    ends = [(int(place) + step) * size // (count + step - 1) for place, count, size in zip(places, numbers, shape, strict=True)]
    return Box(tuple(begins), tuple(ends))


def is_tiling(path: Path | str) -> bool:
    """Whether a file is the JSON of a volume of tiles, by its name."""
    return Path(path).suffix.lower() == ".json"
