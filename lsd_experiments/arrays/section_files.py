"""A directory of sections: one TIFF or PNG file each, in natural order of their names.

The files store no voxel size that counts: it is given. All of them must be alike, which is looked at when the directory is
opened (a moment per thousand files) and when a section is read.
"""

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays.sections import SectionArray
from lsd_experiments.arrays.tiff import no_voxel_size
from lsd_experiments.arrays.tiff_pages import kept_pages, open_tiff, page_remark, page_values, samples_axis, samples_first
from lsd_experiments.arrays.volume import Volume
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box, Nanometres

logger = logging.getLogger(__name__)

SUFFIXES = {".tif": "TIFF", ".tiff": "TIFF", ".png": "PNG"}
PNG_MODES = {"1": "bool", "L": "uint8", "P": "uint8", "I;16": "uint16", "I;16B": "uint16", "RGB": "uint8", "RGBA": "uint8",
             "LA": "uint8"}  # Pillow's; of a palette, the numbers of its colours are read


@dataclass(frozen=True)
class Section:
    """What the head of a section's file says: ``shape`` is [y, x] or [c, y, x]."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    remark: str = ""


class SectionFiles(SectionArray):
    """The sections of a directory."""

    def __init__(self, files: list[Path], section: Section) -> None:
        self.files, self.section = files, section
        super().__init__((*section.shape[:-2], len(files), *section.shape[-2:]), section.dtype)

    def sections(self, numbers: range) -> Iterator[NDArray[Any]]:
        """The sections ``numbers``, [y, x] or [c, y, x] each."""
        for number in numbers:
            file = self.files[number]
            section, values = _read(file, with_values=True)
            _check_alike(file, section, self.section)
            yield values


def is_directory_of_sections(path: Path) -> bool:
    """Whether ``path`` is a directory of TIFF or PNG files."""
    return path.is_dir() and next(_files(path), None) is not None


def open_directory(path: Path, dataset: str | None, voxel_size: Nanometres | None) -> Volume:
    """The sections in the directory ``path``; it begins at 0.

    :param voxel_size: (z, y, x) in nm
    :raises UserError: if ``dataset`` is not None, sections are damaged or not alike, or there is no voxel size.
    """
    if dataset:
        raise UserError(f"{path}: a directory of sections has no datasets, '{dataset}' was asked for. Write - in place of the "
                        "dataset, or leave it empty")
    files = in_order(list(_files(path)))
    if not files:
        raise UserError(f"{path}: holds no sections. Name a directory of TIFF or PNG files, one a section")
    kinds = sorted({SUFFIXES[file.suffix.lower()] for file in files})
    if len(kinds) > 1:
        raise UserError(f"{path}: holds sections as {' and as '.join(kinds)}. Put one of the two elsewhere")
    first, _ = _read(files[0])
    for file in files[1:]:
        _check_alike(file, _read(file)[0], first)
    for remark in filter(None, [first.remark, _gaps(files)]):
        logger.warning("%s: %s", path, remark)
    if voxel_size is None:
        raise no_voxel_size(path)
    array = SectionFiles(files, first)
    return Volume(str(path), "", array, voxel_size, (0.0, 0.0, 0.0), Box.of_shape(array.shape[-3:]),
                  array.shape[0] if len(array.shape) == 4 else None)


def read_section(file: Path) -> NDArray[Any]:
    """The values of one section, or of a tile of one, a TIFF or PNG file: [y, x] or [c, y, x].

    :raises UserError: if it is damaged, or of a kind that is not read
    """
    return _read(file, with_values=True)[1]


def in_order(files: list[Path]) -> list[Path]:
    """``files`` by the numbers in their names: z8, z9, z10."""
    return sorted(files, key=lambda file: (_numbered(file.name), file.name))


def _numbered(name: str) -> list[tuple[str, int]]:
    parts = re.split("([0-9]+)", name)
    return [(text, int(number or 0)) for text, number in zip(parts[::2], [*parts[1::2], "0"], strict=True)]


def _files(directory: Path) -> Iterator[Path]:
    return (f for f in directory.iterdir() if f.suffix.lower() in SUFFIXES and not f.name.startswith(".") and f.is_file())


def _check_alike(file: Path, section: Section, first: Section) -> None:
    if (section.shape, section.dtype) != (first.shape, first.dtype):
        raise UserError(f"{file}: a section of {section.dtype} of shape {section.shape} among others of {first.dtype} of "
                        f"{first.shape}. Make it again as the others are, or put it elsewhere")


def _gaps(files: list[Path]) -> str:
    """A remark if the names say that sections are missing, or that there is more than one stack."""
    kinds = {re.sub("[0-9]+", "#", file.name) for file in files}
    if len(kinds) > 1:
        return f"its files have names of {len(kinds)} kinds, like {' and '.join(sorted(kinds)[:2])}: they are read as one stack"
    numbers = np.array([[number for _, number in _numbered(file.name)] for file in files])
    varying = np.flatnonzero((numbers != numbers[0]).any(axis=0))
    if len(varying) != 1:
        return ""
    steps = np.diff(numbers[:, varying[0]])
    odd = np.flatnonzero(steps != np.median(steps))
    if not len(odd):
        return ""
    return (f"sections may be missing, or there twice: {files[odd[0] + 1].name} follows on {files[odd[0]].name}. They are read "
            "as if they were next to each other")


def _read(file: Path, with_values: bool = False) -> tuple[Section, NDArray[Any]]:
    reader: Callable[[Path, bool], tuple[Section, NDArray[Any]]] = _read_png if file.suffix.lower() == ".png" else _read_tiff
    return reader(file, with_values)


def _read_tiff(path: Path, with_values: bool) -> tuple[Section, NDArray[Any]]:
    with open_tiff(path) as file:
        pages = kept_pages(file, path)
        if len(pages) != 1:
            raise UserError(f"{path}: a section with {len(pages)} pages. Name the file itself if it is the stack; else write a "
                            "page a file")
        page = pages[0]
        section = Section(samples_first(page.shape, samples_axis(page)), page.dtype, page_remark(page))
        return section, page_values(page, path) if with_values else np.zeros(0)


def _read_png(path: Path, with_values: bool) -> tuple[Section, NDArray[Any]]:
    with _png(path) as image:
        if image.mode not in PNG_MODES or getattr(image, "n_frames", 1) != 1 or _is_spread(image):
            raise UserError(f"{path}: a PNG of a kind that is not read ({image.mode}). Write it with 8 or 16 bits, grey, one "
                            "image a file")
        values = np.asarray(image) if with_values else np.zeros(0)
        bands = len(image.getbands())
        shape = (image.height, image.width) if bands == 1 else (bands, image.height, image.width)
        section = Section(shape, np.dtype(PNG_MODES[image.mode]))
        return section, np.moveaxis(values, -1, 0) if values.ndim == 3 else values


def _is_spread(image: Any) -> bool:
    """Whether the values, of 2 or 4 bits, are spread to 8 bits as they are read."""
    return bool(image.tile) and str(image.tile[0][3]) in ("L;2", "L;4")


@contextmanager
def _png(path: Path) -> Iterator[Any]:
    from PIL.PngImagePlugin import PngImageFile

    try:
        with path.open("rb") as file:
            # Not by Image.open, which takes sections of more than 180 million pixels for an attack.
            yield PngImageFile(file)
    except (UserError, MemoryError):
        raise
    except Exception as error:  # of any kind, where Pillow meets damage
        raise UserError(f"{path}: cannot be read as PNG ({error}). Fetch or make it again") from error
