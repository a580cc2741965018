"""Create zarr datasets: beside their place, and then renamed, so that nobody sees one without its metadata."""

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from lsd_experiments.arrays.hierarchy import clean
from lsd_experiments.arrays.opening import open_volume
from lsd_experiments.arrays.volume import Volume
from lsd_experiments.errors import UserError

CHUNK = 64  # voxels along each axis, as long as the volume has them


def create_volume(container: str | Path, dataset: str, shape: Sequence[int], voxel_size: Sequence[float],
                  offset: Sequence[float], dtype: DTypeLike, *, channels: int | None = None,
                  chunks: Sequence[int] | None = None, attrs: Mapping[str, Any] | None = None,
                  overwrite: bool = False) -> Volume:
    """A new dataset of zeros in the zarr directory ``container``, which is made if it is not there.

    :param shape: (z, y, x) in voxels.
    :param voxel_size: (z, y, x) in nm; stored as the attribute ``resolution``.
    :param offset: (z, y, x) in nm, where the first voxel begins.
    :param channels: length of a leading channel axis; None for [z, y, x].
    :param chunks: (z, y, x) in voxels, default about 64 each; a chunk holds all channels.
    :param attrs: further attributes.
    :raises UserError: if the dataset exists and not ``overwrite``, or ``container`` is no zarr directory.
    """
    if "://" in str(container):
        raise UserError(f"{container}: only zarr directories of this machine are written. Name a path")
    root = Path(container)
    path = clean(dataset, str(root))
    target = root / path
    _check_place(root, target, overwrite)
    _make_groups(root, path)
    leading = () if channels is None else (channels,)
    new = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent))
    new.chmod(0o777 & ~_umask())
    _write_metadata(new, (*leading, *shape), (*leading, *(chunks or default_chunks(shape))), dtype,
                    {"resolution": list(map(_plain, voxel_size)), "offset": list(map(_plain, offset)), **(attrs or {})})
    if overwrite and target.exists():
        old = new.with_suffix(".old")
        target.rename(old)
        new.rename(target)
        shutil.rmtree(old)
    else:
        new.rename(target)
    return open_volume(root, path, writable=True)


def default_chunks(shape: Sequence[int]) -> tuple[int, ...]:
    """64 voxels along each axis, less where the volume has less."""
    return tuple(max(1, min(CHUNK, int(s))) for s in shape)


def _check_place(root: Path, target: Path, overwrite: bool) -> None:
    is_ours = not root.exists() or (root / ".zgroup").is_file()
    if not is_ours and (not root.is_dir() or any(not p.name.startswith(".") for p in root.iterdir())):
        raise UserError(f"{root}: exists, and is no zarr group. Name another output, or remove it")
    for parent in target.parents:
        if (parent / ".zarray").is_file():
            raise UserError(f"{parent}: is a dataset, so that {target} cannot be put into it. Name another dataset")
        if parent == root:
            break
    if target.exists() and not overwrite:
        raise UserError(f"{target}: exists already. Remove it, or name another output")


def _make_groups(root: Path, path: str) -> None:
    import zarr

    root.mkdir(parents=True, exist_ok=True)
    parent = path.rpartition("/")[0]
    zarr.open_group(zarr.DirectoryStore(str(root)), path=parent, mode="a")
    (root / parent).mkdir(parents=True, exist_ok=True)


def _write_metadata(directory: Path, shape: tuple[int, ...], chunks: tuple[int, ...], dtype: DTypeLike,
                    attrs: dict[str, Any]) -> None:
    import numcodecs
    import zarr

    array = zarr.create(shape, chunks=chunks, dtype=np.dtype(dtype), fill_value=0, compressor=numcodecs.GZip(5),
                        store=zarr.DirectoryStore(str(directory)), dimension_separator=".")
    array.attrs.put(attrs)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _plain(value: float) -> float | int:
    """Whole numbers as int, as gunpowder and funlib want them."""
    return int(value) if float(value).is_integer() else float(value)
