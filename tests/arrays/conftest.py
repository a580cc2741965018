"""A small volume: anisotropic, fractional voxels, an offset that is not zero, no two axes alike."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import zarr

VOXEL_SIZE = (40.0, 10.0, 4.6)
OFFSET = (120.0, 30.0, 4.6 * 3)


@dataclass(frozen=True)
class Sample:
    """What was written, and where."""

    container: Path
    raw: np.ndarray
    affs: np.ndarray
    voxel_size: tuple[float, ...] = VOXEL_SIZE
    offset: tuple[float, ...] = OFFSET


@pytest.fixture
def raw() -> np.ndarray:
    """[z, y, x] of shape (5, 7, 9), every value different."""
    return np.arange(5 * 7 * 9, dtype=np.uint16).reshape(5, 7, 9)


@pytest.fixture
def sample(tmp_path: Path, raw: np.ndarray) -> Sample:
    """A zarr as other programs write it: zarr's own calls, not ours."""
    root = zarr.open_group(zarr.DirectoryStore(str(tmp_path / "sample.zarr")), mode="w")
    affs = np.stack([raw, raw + 1000, raw + 2000]).astype(np.uint16)
    for name, array, chunks in (("volumes/raw", raw, (2, 3, 4)), ("volumes/affs", affs, (1, 2, 3, 4)),
                                ("volumes/labels/neuron_ids", raw.astype(np.uint64) + 2**63, (5, 7, 9))):
        made = root.create_dataset(name, data=array, chunks=chunks)
        made.attrs.put({"resolution": list(VOXEL_SIZE), "offset": list(OFFSET)})
    return Sample(tmp_path / "sample.zarr", raw, affs)
