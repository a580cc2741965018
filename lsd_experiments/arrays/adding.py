"""Add a dataset to a zarr, N5 or HDF5 container: written beside its place, and put there when it is whole.

    zarr, N5    .<name>.partial, a hidden directory in the dataset's group, then renamed
    HDF5        see hdf5_adding

What an interrupted run left there is removed by the next one.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from lsd_experiments.arrays import n5
from lsd_experiments.arrays.creating import check_place, check_zarr, for_funlib, make_groups, plain, put, write_metadata
from lsd_experiments.arrays.hdf5_adding import WORK, add_to_hdf5
from lsd_experiments.arrays.hierarchy import clean
from lsd_experiments.arrays.local import is_n5
from lsd_experiments.arrays.opening import HDF5_SUFFIXES
from lsd_experiments.arrays.volume import Volume
from lsd_experiments.arrays.written import record_all
from lsd_experiments.geometry import Box
from lsd_experiments.locks import only_run


def can_add(container: str | Path) -> bool:
    """Whether ``container`` is of a format that :func:`add_volume` writes; what is not there is made, as its suffix says."""
    path = Path(container)
    if "://" in str(container) or path.suffix.lower() in (".json", ".tif", ".tiff"):
        return False
    return path.suffix.lower() in HDF5_SUFFIXES if path.is_file() else not path.exists() or is_n5(path) or _is_zarr(path)


@contextmanager
def add_volume(
    container: str | Path,
    dataset: str,
    shape: Sequence[int],
    voxel_size: Sequence[float],
    offset: Sequence[float],
    dtype: DTypeLike,
    *,
    chunks: Sequence[int],
    channels: int | None = None,
    attrs: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Iterator[Volume]:
    """A new volume of zeros that is to be written while this is open; it appears at the end, unless that is an error.

    :param container: zarr, N5 or HDF5 (see :func:`can_add`); it is made if it is not there.
    :param shape: (z, y, x) in voxels, and so ``chunks``, which hold all channels.
    :param channels: length of a leading channel axis; None for [z, y, x].
    :param voxel_size: (z, y, x) in nm, and so ``offset``, of the first voxel.
    :raises UserError: if the dataset exists and not ``overwrite``, cannot be there, or another run is at work.
    """
    root = Path(container)
    assert can_add(root), f"{root} is only read"
    path = clean(dataset, str(root))
    place = {"resolution": [plain(v) for v in voxel_size], "offset": [plain(o) for o in offset]}
    leading = () if channels is None else (channels,)
    add = add_to_hdf5 if root.suffix.lower() in HDF5_SUFFIXES and not root.is_dir() else _add_to_directory
    with add(
        root, path, (*leading, *shape), (*leading, *chunks), np.dtype(dtype), {**place, **(attrs or {})}, overwrite
    ) as array:
        volume = Volume(
            str(root), path, array, tuple(voxel_size), tuple(offset), Box.of_shape(shape), channels, dict(attrs or {}), True
        )
        yield volume
        record_all(volume)


@contextmanager
def _add_to_directory(
    root: Path, path: str, shape: Sequence[int], chunks: Sequence[int], dtype: Any, attrs: dict[str, Any], overwrite: bool
) -> Iterator[Any]:
    import zarr

    target = root / path
    if root.suffix.lower() == ".n5":
        root.mkdir(parents=True, exist_ok=True)  # empty, it is N5
    if not is_n5(root):
        check_zarr(root)
    check_place(root, target, overwrite)
    make_groups(root, path)
    partial = target.with_name(f".{target.name}.partial")
    mark = "attributes.json" if is_n5(root) else ".zgroup"
    with only_run(root, lock=root / mark, work=WORK):
        shutil.rmtree(partial, ignore_errors=True)
        try:
            store = n5.store(partial) if is_n5(root) else zarr.DirectoryStore(str(partial))
            zarrs = {**for_funlib(attrs["resolution"], shape[0] if len(shape) > 3 else None), **attrs}
            stored = n5.turned(attrs) if is_n5(root) else zarrs
            yield write_metadata(store, tuple(shape), tuple(chunks), dtype, stored)
            check_place(root, target, overwrite)
            put(partial, target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _is_zarr(path: Path) -> bool:
    return path.is_dir() and (path / ".zgroup").is_file()
