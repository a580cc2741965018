"""Files of predictions: HDF5 with ``vol0``, ``vol1``, ..., [c, z, y, x] uint8, as published, or zarr."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays import create_volume
from lsd_experiments.errors import UserError
from lsd_experiments.families.pytc.configuration import Config
from lsd_experiments.families.pytc.inference.heads import suffix
from lsd_experiments.geometry import Box, Nanometres, Voxels
from lsd_experiments.writing import check_writable, sync

CHUNK = 256  # along y and x
Write = Callable[[Box, NDArray[np.uint8]], None]
Add = Callable[[str, int, Voxels, Nanometres, Nanometres, dict[str, str]], Write]  # the last ones: attributes of this one


def output_paths(config: Config, images: int) -> list[Path]:
    """The file of each image, below ``INFERENCE.OUTPUT_PATH``: one for all, or (DO_SINGLY) one for each."""
    directory, name = Path(config.DATASET.OUTPUT_PATH), config.INFERENCE.OUTPUT_NAME
    ending = ".zarr" if name.endswith(".zarr") else ".h5"
    stem = name.removesuffix(ending)
    if config.INFERENCE.DO_SINGLY:
        first, step = config.INFERENCE.DO_SINGLY_START_INDEX, config.INFERENCE.DO_SINGLY_STEP
        return [directory / f"{stem}_{first + number * step}{suffix(config)}{ending}" for number in range(images)]
    return [directory / f"{stem}{suffix(config)}{ending}"] * images


@contextmanager
def writing(path: Path, attributes: dict[str, Any], overwrite: bool = False) -> Iterator[Add]:
    """Something to add datasets with: it gives what writes a box. The file is there when all of it is.

    :raises UserError: if it is there and not ``overwrite``, or cannot be written
    """
    if path.exists() and not overwrite:
        raise UserError(f"{path}: is there. Pass --overwrite, or set another INFERENCE.OUTPUT_PATH")
    try:
        check_writable(path.parent)
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{error.filename or path}: cannot be written ({error.strerror}). Set another INFERENCE.OUTPUT_PATH"
                        ) from error
    with (_zarr if path.suffix == ".zarr" else _hdf5)(path, attributes) as add:
        yield add


@contextmanager
def _hdf5(path: Path, attributes: dict[str, Any]) -> Iterator[Add]:
    import h5py

    beside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with h5py.File(beside, "w") as file:
            def add(name: str, channels: int, shape: Voxels, voxel_size: Nanometres, offset: Nanometres, own: dict[str, str]
                    ) -> Write:
                chunks = (1, 1, *(max(1, min(size, CHUNK)) for size in shape[1:]))
                made = file.create_dataset(name, (channels, *shape), np.uint8, chunks=chunks, compression="gzip")
                made.attrs.update({"resolution": voxel_size, "offset": offset, **attributes, **own})

                def write(box: Box, values: NDArray[np.uint8]) -> None:
                    made[(slice(None), *box.slices)] = values

                return write

            yield add
        sync(beside)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def _zarr(path: Path, attributes: dict[str, Any]) -> Iterator[Add]:
    beside = path.with_name(f".{path.stem}.{os.getpid()}.partial.zarr")

    def add(name: str, channels: int, shape: Voxels, voxel_size: Nanometres, offset: Nanometres, own: dict[str, str]) -> Write:
        chunks = (1, *(max(1, min(size, CHUNK)) for size in shape[1:]))
        made = create_volume(beside, name, shape, voxel_size, offset, np.uint8, channels=channels, chunks=chunks,
                             attrs={**attributes, **own})
        return made.write

    try:
        yield add
        if path.exists():
            shutil.rmtree(path)
        beside.replace(path)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
