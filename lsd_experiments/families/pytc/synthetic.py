"""A synthetic SNEMI3D: neuropil under the names, types and voxels of the challenge's files, smaller.

| file | content |
|---|---|
| ``image/train-input.tif``, ``image/test-input.tif`` | [z, y, x] uint8 |
| ``seg/train-labels.tif`` | [z, y, x] uint16, all neurites, 0 is unlabelled |
| ``seg/test-labels.h5`` | dataset ``main``, the same of the test volume, which the challenge does not tell |
| ``made.json`` | with which arguments |

Voxels are of 30 x 6 x 6 nm. Those of the challenge are 100 x 1024 x 1024.
"""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box
from lsd_experiments.provenance import provenance
from lsd_experiments.synthetic.making import STAGE, appearing
from lsd_experiments.synthetic.volume import check_arguments, synthesize

logger = logging.getLogger(__name__)

VOXEL_SIZE = (30.0, 6.0, 6.0)
ORIGIN = (0.0, 0.0, 0.0)
MADE = "made.json"
SPLITS = ("train", "test")


def write_snemi3d(path: str | Path, shape: Sequence[int] = (40, 320, 320), density: float = 6.0, seed: int = 0) -> bool:
    """Write a synthetic SNEMI3D to the directory ``path``, which appears when it is whole.

    A directory that was made with these arguments is left as it is.

    :param shape: (z, y, x) voxels of each of the two volumes
    :param density: neurites per cubic micrometre that are tried; where space is short, fewer
    :returns: whether it was made
    :raises UserError: if the arguments describe no volume, or ``path`` holds something else
    """
    path = Path(path)
    shape, _ = check_arguments(shape, VOXEL_SIZE, density, seed)
    parameters = {"kind": "snemi3d", "shape": list(shape), "density": float(density), "seed": seed}
    if _made_before(path, parameters):
        return False
    with appearing(path) as partial:
        for number, split in enumerate(SPLITS):
            made = synthesize(shape, VOXEL_SIZE, density, 2 * seed + number)
            if made.labels.max() > np.iinfo(np.uint16).max:
                raise UserError(f"shape {shape}: more neurites than uint16 has ids. Make it smaller, or lower the density")
            _write(partial, split, made.raw, made.labels.astype(np.uint16))
        (partial / MADE).write_text(json.dumps(provenance(STAGE, parameters, inputs={}), indent=1))
    return True


def _made_before(path: Path, parameters: dict[str, Any]) -> bool:
    if path.suffix == ".zarr":
        raise UserError(f"{path}: a synthetic SNEMI3D is a directory of TIFF stacks. Name one that does not end in .zarr")
    if not path.exists():
        return False
    try:
        found = json.loads((path / MADE).read_text())["parameters"]
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{path}: exists and is not a synthetic SNEMI3D. Name another directory") from None
    if found != parameters:
        different = ", ".join(f"{key} {found.get(key)}" for key, value in parameters.items() if found.get(key) != value)
        raise UserError(f"{path}: exists and was made with other parameters ({different}). Remove it, or name another directory")
    return True


def _write(path: Path, split: str, raw: NDArray[np.uint8], labels: NDArray[np.uint16]) -> None:
    _put_stack(path / "image" / f"{split}-input.tif", raw)
    if split == "train":
        _put_stack(path / "seg" / "train-labels.tif", labels)
    else:
        import h5py

        with h5py.File(path / "seg" / "test-labels.h5", "w") as file:
            dataset = file.create_dataset("main", data=labels, compression="gzip", chunks=True)
            dataset.attrs["resolution"], dataset.attrs["offset"] = VOXEL_SIZE, ORIGIN


def _put_stack(path: Path, values: NDArray[Any]) -> None:
    from lsd_experiments.arrays import create_stack

    with create_stack(path, values.shape, VOXEL_SIZE, ORIGIN, values.dtype) as volume:
        volume.write(Box.of_shape(values.shape), values)
    logger.info("wrote %s", path)
