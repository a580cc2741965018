"""The record of finished blocks, ``done/`` in the records: a byte per block, 1 when it is done.

It is as daisy writes it, a Zarr v3 group with one uncompressed array of one chunk, in the C order of the grid of blocks, so that
records of earlier versions count::

    done/zarr.json, done/done/zarr.json, done/done/c/0/0/0
    done/failures/zarr.json                                     daisy's count of failures, of which there is none
"""

import json
import logging
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.blockwise.records import remove
from lsd_experiments.geometry import Voxels
from lsd_experiments.writing import put_text

logger = logging.getLogger(__name__)


class DoneBlocks:
    """The record in ``directory`` of the blocks of a ``grid``; it is made if it is not there.

    :param grid: blocks along each axis
    """

    def __init__(self, directory: Path, grid: Voxels) -> None:
        self._path = directory.joinpath("done", "c", *"0" * len(grid))
        size = math.prod(grid)
        if directory.exists() and not _is_of(directory / "done" / "zarr.json", grid):
            logger.warning("%s is of other blocks: all are done again", directory)
            remove(directory)
        if not self._path.is_file() or self._path.stat().st_size != size:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("wb") as file:
                file.truncate(size)
            put_text(directory / "done" / "zarr.json", json.dumps(_array(grid, "uint8"), indent=1))
            (directory / "failures").mkdir(exist_ok=True)
            put_text(directory / "failures" / "zarr.json", json.dumps(_array(grid, "uint32"), indent=1))
            put_text(directory / "zarr.json", json.dumps({"attributes": {}, "node_type": "group", "zarr_format": 3}, indent=1))
        self._file = self._path.open("r+b", buffering=0)
        self._grid = grid

    def mask(self) -> NDArray[np.uint8]:
        """[blocks along each axis], 1 where one is done."""
        done: NDArray[np.uint8] = (np.fromfile(self._path, np.uint8) == 1).astype(np.uint8).reshape(self._grid)
        return done

    def add(self, number: int) -> None:
        """Record a block as done."""
        os.pwrite(self._file.fileno(), b"\1", number)

    def remove(self, numbers: Iterable[int]) -> None:
        """Record blocks as not done; that is on the disk then."""
        for number in numbers:
            os.pwrite(self._file.fileno(), b"\0", number)
        os.fsync(self._file.fileno())


def _is_of(path: Path, grid: Voxels) -> bool:
    """Whether the array that ``path`` describes is of that grid, in one chunk."""
    try:
        array = json.loads(path.read_bytes())
    except FileNotFoundError:
        return True  # nothing was recorded yet
    shapes = array.get("shape"), array.get("chunk_grid", {}).get("configuration", {}).get("chunk_shape")
    return shapes == (list(grid), list(grid))


def _array(grid: Voxels, data_type: str) -> dict[str, Any]:
    return {
        "attributes": {},
        "chunk_grid": {"configuration": {"chunk_shape": list(grid)}, "name": "regular"},
        "chunk_key_encoding": {"configuration": {"separator": "/"}, "name": "default"},
        "codecs": [{"configuration": {"endian": "little"}, "name": "bytes"}],
        "data_type": data_type,
        "fill_value": 0,
        "node_type": "array",
        "shape": list(grid),
        "storage_transformers": [],
        "zarr_format": 3,
    }
