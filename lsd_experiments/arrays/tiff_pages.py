"""Which pages of a TIFF file are the sections of a volume, and whether all of them are there.

TIFF is a chain of pages, each with its own size and type; programs say in their own metadata (ImageJ, OME, tifffile) what
the pages are. Here both must agree: a file that was cut off, holds pages of two kinds or more than one stack is refused,
since whoever reads its first part only has a wrong volume.
"""

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays.tiff_chain import walk_pages
from lsd_experiments.errors import UserError

SAMPLES = "S"  # tifffile's letter for the axis of a colour page
CHANNELS = "C"


@dataclass(frozen=True)
class Layout:
    """What a file holds.

    :ivar page_shape: of one page: (y, x), or with samples (y, x, s) or (s, y, x)
    :ivar samples_axis: which axis of a page the samples are; None for grey
    :ivar pages: [z] or [c, z], the numbers of the pages
    :ivar data_offset: where the voxels begin in the file, if they are [z, y, x] without gaps or compression; else None
    :ivar remark: what the user should know, empty if nothing
    """

    page_shape: tuple[int, ...]
    dtype: np.dtype[Any]
    samples_axis: int | None
    pages: NDArray[np.int64]
    data_offset: int | None
    remark: str = ""


@dataclass(frozen=True)
class _Series:
    """Pages that belong together, as tifffile understands the metadata; ``axes`` has a letter for each length in ``shape``."""

    axes: str
    shape: tuple[int, ...]
    pages: list[int]
    data_offset: int | None


def read_layout(file: Any, path: Path) -> Layout:
    """The sections of ``file``, an open ``tifffile.TiffFile``.

    :raises UserError: if it is damaged, or holds no single stack
    """
    kept, end = _kept_pages(file, path)
    first = kept[0]
    series = list(_series(file))
    numbers = [number for one in series for number in one.pages]
    one = _joined(series, path)
    claimed = math.prod(n for axis, n in zip(one.axes, one.shape, strict=True) if axis not in f"YX{SAMPLES}")
    is_one_block = len(kept) == 1 and claimed > 1 and one.data_offset is not None
    if is_one_block:
        end = max(end, _check_inside(path, one.data_offset or 0, math.prod(one.shape) * first.dtype.itemsize, "its sections"))
    elif not claimed == len(numbers) == len(kept):
        raise UserError(f"{path}: its metadata speak of {claimed} sections, and it holds {len(kept)}. It was cut off, or is "
                        "one of several files: name the directory that has them all, or fetch or make it again")
    pages, remark = _arranged(one, np.arange(claimed) if is_one_block else np.array(numbers), path)
    is_plain = pages.ndim == 1 and first.samplesperpixel == 1
    if is_one_block and not is_plain:
        raise UserError(f"{path}: channels that lie behind one another without pages of their own. Write it again as [z, y, x]")
    return Layout(tuple(first.shape), first.dtype, samples_axis(first), pages, one.data_offset if is_plain else None,
                  "; ".join(filter(None, [remark, page_remark(first), _rest(path, end, first)])))


def kept_pages(file: Any, path: Path) -> list[Any]:
    """The pages of ``file`` in their order, without small versions of others (pyramids, thumbnails); all of one size and type.

    :raises UserError: if the file is damaged, or its pages differ
    """
    return _kept_pages(file, path)[0]


def _kept_pages(file: Any, path: Path) -> tuple[list[Any], int]:
    """The pages, and where the file ends as far as they say."""
    count, end = walk_pages(path)
    kept = [page for page in file.pages if not page.is_reduced]
    if len(file.pages) != count or not kept:
        raise UserError(f"{path}: {len(file.pages)} of its {count} pages can be read. Fetch or make it again")
    first = kept[0]
    _check_codec(first, path)
    if first.dtype is None or not {*"YX"} <= {*first.axes} or min(first.shape) < 1:
        raise UserError(f"{path}: its first page has no pixels, or pixels of a type that is not known. Fetch or make it again")
    for page in kept:
        if (page.shape, page.dtype, page.axes) != (first.shape, first.dtype, first.axes):
            raise UserError(f"{path}: page {page.index} is {page.dtype} of {page.shape}, page {first.index} is {first.dtype} of "
                            f"{first.shape}. A stack is of one size and type: write the pages to files of their own")
        end = max(end, _check_data(page, path))
    return kept, end


def _rest(path: Path, end: int, page: Any) -> str:
    """A remark if there are bytes behind the last page, as many as a page takes: its chain of pages may have been broken."""
    rest = path.stat().st_size - end
    if rest < max(1, sum(page.databytecounts)):
        return ""
    return f"behind its last page are {rest} bytes that belong to none: it may hold more sections than can be found"


@contextmanager
def open_tiff(path: Path) -> Iterator[Any]:
    """``path`` as a ``tifffile.TiffFile``.

    :raises UserError: if it is no TIFF, or damaged where it is looked at
    """
    try:
        with quiet_tiff(path) as file:
            yield file
    except (UserError, MemoryError):
        raise
    except Exception as error:  # of any kind, where tifffile meets damage
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        raise UserError(f"{path}: cannot be read as TIFF ({reason}). Fetch or make it again") from error


@contextmanager
def quiet_tiff(path: Path) -> Iterator[Any]:
    """``path`` as a ``tifffile.TiffFile`` that logs nothing: its remarks on damage are errors here, in one line."""
    import tifffile

    log = logging.getLogger("tifffile")
    before = log.level
    log.setLevel(logging.CRITICAL)
    try:
        with tifffile.TiffFile(path) as file:
            yield file
    finally:
        log.setLevel(before)


def page_values(page: Any, path: Path, layout: Layout | None = None) -> NDArray[Any]:
    """The pixels of ``page``, [y, x] or [c, y, x].

    :param layout: what the page was when the file was opened
    :raises UserError: if it is something else now
    """
    values: NDArray[Any] = page.asarray()
    expected = (page.shape, page.dtype) if layout is None else (layout.page_shape, layout.dtype)
    if (values.shape, values.dtype) != expected:
        raise UserError(f"{path}: page {page.index} is {values.dtype} of {values.shape}, and was {expected[1]} of {expected[0]}. "
                        "Another program writes it: begin again when it is done")
    axis = samples_axis(page)
    return values if axis is None else np.moveaxis(values, axis, 0)


def samples_axis(page: Any) -> int | None:
    """Which axis of ``page`` its samples (colours) are; None if it is grey."""
    axis = page.axes.find(SAMPLES)
    return None if axis < 0 else int(axis)


def samples_first(shape: tuple[int, ...], axis: int | None) -> tuple[int, ...]:
    """The shape of a page as [y, x] or [c, y, x]."""
    return tuple(shape) if axis is None else (shape[axis], *shape[:axis], *shape[axis + 1:])


def page_remark(page: Any) -> str:
    """A remark for pages whose white is 0."""
    return "its 0 is white, and its values are read as they are stored" if page.photometric == 0 else ""


def _joined(series: list[_Series], path: Path) -> _Series:
    """``series``, of which several are one stack if each is one page: pages that a program appended."""
    if len(series) == 1:
        return series[0]
    first = series[0]
    if any(len(one.pages) != 1 or one.shape != first.shape or one.axes != first.axes for one in series):
        shapes = ", ".join(str(one.shape) for one in series[:3]) + (", ..." if len(series) > 3 else "")
        raise UserError(f"{path}: holds {len(series)} stacks or images, of {shapes}. Write each to a file of its own")
    return _Series(f"I{first.axes}", (len(series), *first.shape), [one.pages[0] for one in series], None)


def _series(file: Any) -> Iterator[_Series]:
    for one in file.series:
        pages = [page for page in one.pages if page is not None]
        if pages and all(getattr(page, "is_reduced", False) for page in pages):
            continue
        yield _Series(one.get_axes(False), tuple(one.get_shape(False)), [page.index for page in pages], one.dataoffset)


def _arranged(one: _Series, numbers: NDArray[Any], path: Path) -> tuple[NDArray[np.int64], str]:
    """The page numbers as [z] or [c, z], and a remark."""
    axes = [(axis, n) for axis, n in zip(one.axes, one.shape, strict=True) if axis not in f"YX{SAMPLES}"]
    places = [place for place, (_, n) in enumerate(axes) if n > 1]
    if not places:
        places = [place for place, (axis, _) in enumerate(axes) if axis == "Z"]
    named = [axes[place][0] for place in places]
    pages = numbers.reshape([axes[place][1] for place in places])
    has_samples = SAMPLES in (axis for axis, n in zip(one.axes, one.shape, strict=True) if n > 1)
    if len(places) == 2 and CHANNELS in named and not has_samples:
        return (pages if named[0] == CHANNELS else pages.T), ""
    if len(places) != 1:
        raise UserError(f"{path}: a TIFF of shape {one.shape} (axes {one.axes}); volumes are [z, y, x] or [c, z, y, x]. "
                        "Write each stack to a file of its own")
    names = {CHANNELS: "channels", "T": "points in time"}
    called = names.get(named[0]) if pages.size > 1 else None
    return pages, f"its metadata call its {pages.size} pages {called}; they are read as sections" if called else ""


def _check_data(page: Any, path: Path) -> int:
    """Where the pixels of ``page`` end, which must lie in the file."""
    segments = [(offset, count) for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True) if offset or count]
    end = max((_check_inside(path, offset, count, f"page {page.index}") for offset, count in segments), default=0)
    expected = page.nbytes if page.compression == 1 and page.dtype.itemsize * 8 == page.bitspersample else 0
    if sum(count for _, count in segments) < expected and segments:  # none: never written, and 0
        raise UserError(f"{path}: page {page.index} has {sum(count for _, count in segments)} of {expected} bytes. Fetch or make "
                        "it again")
    return end


def _check_codec(page: Any, path: Path) -> None:
    import tifffile

    try:
        tifffile.TIFF.DECOMPRESSORS[page.compression]
    except KeyError as error:
        raise UserError(f"{path}: compressed as {getattr(page.compression, 'name', page.compression)}, which needs the package "
                        "imagecodecs. Run pip install imagecodecs, or write the stack without compression") from error


def _check_inside(path: Path, offset: int, count: int, what: str) -> int:
    if offset + count > path.stat().st_size:
        raise UserError(f"{path}: cut off: {what} should reach to byte {offset + count} of {path.stat().st_size}. Fetch or make "
                        "it again")
    return offset + count
