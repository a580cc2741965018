"""Write TIFF stacks: one file [z, y, x], not compressed, so that its blocks can be written in any order.

Where OME has the dtype it is OME-TIFF, whose voxel size other programs read; its description is JSON, the attributes
``resolution`` and ``offset`` (nm, z y x) to the last bit. OME has no integers of 64 bits and no halves: these stacks have the
attributes in their ImageDescription, as tifffile writes it, and other programs take voxels for pixels.
"""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from lsd_experiments.arrays.volume import Volume
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box
from lsd_experiments.locks import only_run

OME_DTYPES = ("uint8", "uint16", "uint32", "int8", "int16", "int32", "float32", "float64")


@contextmanager
def create_stack(
    path: str | Path,
    shape: Sequence[int],
    voxel_size: Sequence[float],
    offset: Sequence[float],
    dtype: DTypeLike,
    overwrite: bool = False,
) -> Iterator[Volume]:
    """A new stack of zeros that is to be written while this is open; it appears at the end, unless that is an error.

    :param shape: (z, y, x) in voxels
    :param voxel_size: (z, y, x) in nm, and so ``offset``, of the first voxel
    :raises UserError: if the file exists and not ``overwrite``, TIFF has no such dtype, or another run is at work.
    """
    target, kind = Path(path), np.dtype(dtype)
    if kind.kind not in "uif" or kind.itemsize > 8:
        raise UserError(f"{target}: TIFF holds integers and floats, not {kind}. Write zarr or HDF5")
    _check_absent(target, overwrite)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    with only_run(target, lock=partial, work="another run is writing it"):
        try:
            array = _mapped(partial, tuple(shape), tuple(voxel_size), tuple(offset), kind)
            _reserve(partial, target)
            yield Volume(str(target), "", array, tuple(voxel_size), tuple(offset), Box.of_shape(shape), writable=True)
            array.flush()
            _check_absent(target, overwrite)
            partial.rename(target)
        finally:
            partial.unlink(missing_ok=True)


def _mapped(path: Path, shape: tuple[int, ...], voxel_size: tuple[float, ...], offset: tuple[float, ...], dtype: Any) -> Any:
    """A new file as a memory map."""
    import tifffile

    attrs: dict[str, Any] = {"resolution": voxel_size, "offset": offset}
    is_ome = dtype.name in OME_DTYPES
    if is_ome:
        attrs = {"Description": json.dumps(attrs)}
        for axis, size in zip("ZYX", voxel_size, strict=True):
            attrs |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": "nm"}
    return tifffile.memmap(
        path, shape=shape, dtype=dtype, ome=is_ome, metadata={"axes": "ZYX", **attrs}, photometric="minisblack"
    )


def _reserve(path: Path, target: Path) -> None:
    """Give every byte of ``path`` its place on the disk: one that is full is an error now, and not a bus error later."""
    try:
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(target)) from error


def _check_absent(target: Path, overwrite: bool) -> None:
    if target.is_dir():
        raise UserError(f"{target}: is a directory. Name a file")
    if target.exists() and not overwrite:
        raise UserError(f"{target}: exists already. Remove it, name another output, or pass --overwrite")
