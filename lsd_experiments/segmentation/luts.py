"""Files of look-up tables, with the names and the content of the published ones.

    <fragments container>/luts/fragment_segment/seg_edges_<merge function>_<threshold name>.npz

Each holds one array, ``fragment_segment_lut`` [2, n]. The published ones are compressed; ours are not, so that they can be
memory-mapped, and their ids ascend.
"""

import logging
import os
import zipfile
from decimal import Decimal
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lsd_experiments import npz
from lsd_experiments.errors import UserError
from lsd_experiments.segmentation.tables import ARRAY, Column, Layout, find_table, map_table, write_table

logger = logging.getLogger(__name__)

LISTED = 6  # thresholds named in an error, at most


def threshold_name(threshold: float) -> str:
    """A threshold in names of files and datasets: its hundredfold, 0.4 is ``40``, with as many decimals as it has.

    The published names truncate: there 0.29 is ``28``, as 0.28 is.
    """
    name = f"{Decimal(repr(round(threshold, 10))) * 100:f}"
    return name.rstrip("0").rstrip(".") if "." in name else name


def lut_directory(fragments_file: str) -> Path:
    """Where the look-up tables of the fragments in a container are."""
    return Path(fragments_file) / "luts" / "fragment_segment"


def lut_path(fragments_file: str, merge_function: str, threshold: float) -> Path:
    """The file of one look-up table."""
    return lut_directory(fragments_file) / f"seg_edges_{merge_function}_{threshold_name(threshold)}.npz"


def write_lut(path: Path, lut: NDArray[np.uint64]) -> None:
    """Write ``lut`` [2, n], sorted by fragment, beside its place and then renamed.

    :raises OSError: naming the file, if the disk is full; nothing is left of it
    """
    lut = _sorted(lut)
    write_columns(path, lut.shape[1], lambda begin, end: lut[0, begin:end], lambda begin, end: lut[1, begin:end])


def write_columns(path: Path, rows: int, fragments: Column, segments: Column) -> None:
    """Write a table [2, rows] as :func:`write_lut` does, from columns of ascending fragments and of their segments.

    :raises OSError: naming the file, if the disk is full; nothing is left of it
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        write_table(part, rows, fragments, segments)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def read_lut(path: Path) -> NDArray[np.uint64]:
    """The table [2, n] in ``path``, with ascending fragment ids, read-only.

    One of ours is memory-mapped, and nothing of it is looked at. Others are looked at whole, and loaded unless they are
    uncompressed and ascend; :func:`make_mappable` makes them as ours.

    :raises UserError: if the file is not there or is no look-up table
    """
    layout = _layout(path)
    if layout is not None:
        lut = map_table(path, layout)
        if layout.ascends or _ascends(lut):
            return lut
    try:
        with zipfile.ZipFile(path) as archive:
            lut = np.asarray(npz.read_member(archive, ARRAY))
    except npz.DAMAGE as error:
        raise _no_lut(path, error) from error
    if lut.ndim != 2 or len(lut) != 2 or lut.dtype.kind not in "ui":
        raise _no_lut(path, f"an array of {lut.dtype}, shape {lut.shape}")
    if lut.size and lut.min() < 0:
        raise _no_lut(path, f"it holds the id {lut.min()}")
    return _sorted(lut.astype(np.uint64, copy=False))


def make_mappable(path: Path) -> None:
    """Write the table in ``path`` anew if it is not one that workers can map: uncompressed, sorted by fragment, equal else.

    :raises UserError: if ``path`` is not there or is no look-up table
    :raises OSError: naming the file, if the disk is full
    """
    layout = _layout(path)
    if layout is None or not layout.ascends:
        write_lut(path, read_lut(path))
        logger.info("%s: written anew, uncompressed and sorted, so that workers can map it", path)


def _layout(path: Path) -> Layout | None:
    try:
        return find_table(path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such look-up table. Run find_segments first; there are "
                        f"{_others(path)}") from None
    except npz.DAMAGE as error:
        raise _no_lut(path, error) from error


def _no_lut(path: Path, why: object) -> UserError:
    return UserError(f"{path}: not a look-up table, or cut off ({why}). Run find_segments with --overwrite")


def _ascends(lut: NDArray[np.uint64]) -> bool:
    return bool((lut[0, 1:] > lut[0, :-1]).all())


def _sorted(lut: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return lut if _ascends(lut) else lut[:, np.argsort(lut[0])]


def _others(path: Path) -> str:
    """The thresholds that there are tables for beside ``path``; of many, those nearest to its own."""
    stem, _, wanted = path.stem.rpartition("_")
    names = [other.stem.removeprefix(f"{stem}_") for other in path.parent.glob(f"{stem}_*.npz")]
    numbers = sorted(float(name) / 100 for name in names if name.replace(".", "", 1).isdigit())
    nearest = sorted(sorted(numbers, key=lambda number: abs(number - float(wanted) / 100))[:LISTED])
    listed = ", ".join(f"{number:g}" for number in nearest) or "none"
    return f"thresholds {listed}" if len(numbers) <= LISTED else f"{len(numbers)} thresholds, the nearest {listed}"
