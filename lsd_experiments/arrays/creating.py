"""Create zarr datasets: beside their place, and then renamed, so that nobody sees one without its metadata."""

import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from lsd_experiments.arrays import n5
from lsd_experiments.arrays.hierarchy import clean
from lsd_experiments.arrays.opening import is_n5, open_volume
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
    import zarr

    if "://" in str(container):
        raise UserError(f"{container}: only zarr directories of this machine are written. Name a path")
    root = Path(container)
    path = clean(dataset, str(root))
    target = root / path
    check_zarr(root)
    check_place(root, target, overwrite)
    make_groups(root, path)
    leading = () if channels is None else (channels,)
    new = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent))
    new.chmod(0o777 & ~_umask())
    place = {"resolution": [plain(v) for v in voxel_size], "offset": [plain(o) for o in offset]}
    write_metadata(zarr.DirectoryStore(str(new)), (*leading, *shape), (*leading, *(chunks or default_chunks(shape))), dtype,
                   {**place, **for_funlib(voxel_size, channels), **(attrs or {})})
    put(new, target)
    return open_volume(root, path, writable=True)


def for_funlib(voxel_size: Sequence[float], channels: int | None) -> dict[str, Any]:
    """What funlib.persistence reads in place of ``resolution``; it takes whole numbers only."""
    names = ["z", "y", "x"] if channels is None else ["c^", "z", "y", "x"]
    types = ["space"] * 3 if channels is None else ["channel"] + ["space"] * 3
    return {"voxel_size": [plain(v) for v in voxel_size], "units": ["nm"] * 3, "axis_names": names, "types": types}


def put(new: Path, target: Path) -> None:
    """Give the directory ``new`` the place of ``target``, which is removed if it is there."""
    if target.exists():
        old = new.with_suffix(".old")
        target.rename(old)
        new.rename(target)
        shutil.rmtree(old)
    else:
        new.rename(target)


def default_chunks(shape: Sequence[int]) -> tuple[int, ...]:
    """64 voxels along each axis, less where the volume has less."""
    return tuple(max(1, min(CHUNK, int(s))) for s in shape)


def check_zarr(root: Path) -> None:
    """:raises UserError: if ``root`` is there, and neither a zarr group nor an empty directory, or has a crop's name."""
    if root.suffix.lower() == ".json":  # it would be read as one
        raise UserError(f"{root}: is a crop, and nothing is written to one. Name a .zarr")
    is_ours = not root.exists() or (root / ".zgroup").is_file()
    if not is_ours and (not root.is_dir() or any(not p.name.startswith(".") for p in root.iterdir())):
        raise UserError(f"{root}: exists, and is no zarr group. Name another output, or remove it")


def check_place(root: Path, target: Path, overwrite: bool) -> None:
    """:raises UserError: if the dataset at ``target`` exists and not ``overwrite``, is a group, or lies in another one."""
    for parent in target.parents:
        if _is_array(parent):
            raise UserError(f"{parent}: is a dataset, so that {target} cannot be put into it. Name another dataset")
        if parent == root:
            break
    if _is_group(target):
        raise UserError(f"{target}: is a group that holds others. Name another dataset")
    if target.exists() and not overwrite:
        raise UserError(f"{target}: exists already. Remove it, or name another output")


def make_groups(root: Path, path: str) -> None:
    """The groups that lead to the dataset ``path`` in ``root``, a zarr directory that is made if need be, or N5."""
    import zarr

    root.mkdir(parents=True, exist_ok=True)
    parent = path.rpartition("/")[0]
    store = n5.store(root) if is_n5(root) else zarr.DirectoryStore(str(root))
    zarr.open_group(store, path=parent, mode="a")
    (root / parent).mkdir(parents=True, exist_ok=True)


def write_metadata(store: Any, shape: tuple[int, ...], chunks: tuple[int, ...], dtype: DTypeLike,
                   attrs: dict[str, Any]) -> Any:
    """An array of zeros as the root of ``store``, one of zarr's directory stores."""
    import numcodecs
    import zarr

    separator = {"dimension_separator": "."} if type(store) is zarr.DirectoryStore else {}  # N5 has its own
    array = zarr.create(shape, chunks=chunks, dtype=np.dtype(dtype), fill_value=0, compressor=numcodecs.GZip(5),
                        store=store, **separator)
    array.attrs.put(attrs)
    return array


def _is_array(directory: Path) -> bool:
    """Whether ``directory`` is an array of zarr or N5."""
    if (directory / ".zarray").is_file():
        return True
    attributes = directory / "attributes.json"
    return attributes.is_file() and "dimensions" in _loads(attributes)


def _loads(file: Path) -> Any:
    try:
        return json.loads(file.read_text())
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file}: is not valid JSON ({error}). Fetch or make it again") from error


def _is_group(directory: Path) -> bool:
    """Whether ``directory`` is no array, and there are some in it."""
    if not directory.is_dir() or _is_array(directory):
        return False
    return any(_is_array(path) or _is_group(path) for path in directory.iterdir() if path.is_dir())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def plain(value: float) -> float | int:
    """Whole numbers as int, as gunpowder and funlib want them."""
    return int(value) if float(value).is_integer() else float(value)
