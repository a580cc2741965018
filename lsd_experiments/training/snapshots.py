"""Snapshots: one batch in an HDF5 file, for eyes.

``batch_<iteration>.hdf`` holds raw in [0, 1], labels, targets, weights' masks and predictions under the names of the published
scripts, each with ``offset`` and ``resolution`` in nm (z, y, x). Raw is larger than the targets by the network's context.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

Placed = Mapping[str, tuple[NDArray[Any], Sequence[float]]]


def write_snapshot(
    path: str | Path, arrays: Placed, voxel_size: Sequence[float], attributes: Mapping[str, Any]
) -> None:
    """Write ``arrays`` ([z, y, x] or [c, z, y, x], and their offsets in nm) and the file's ``attributes`` to ``path``."""
    import h5py

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with h5py.File(beside, "w") as file:
            for name, (values, offset) in arrays.items():
                dataset = file.create_dataset(name, data=values, compression="gzip", compression_opts=1)
                dataset.attrs["offset"] = offset
                dataset.attrs["resolution"] = voxel_size
            file.attrs.update(attributes)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
