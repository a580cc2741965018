"""Synthetic volumes as containers: ``volumes/raw``, ``volumes/labels/neuron_ids``, ``volumes/labels/labels_mask``."""

import json
import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lsd_experiments.errors import UserError
from lsd_experiments.provenance import provenance
from lsd_experiments.synthetic.volume import check_arguments, synthesize

STAGE = "make_synthetic"
LOGGER = logging.getLogger(__name__)


def write_synthetic(path: str | Path, shape: Sequence[int], voxel_size: Sequence[float] = (20, 9, 9),
                    density: float = 6.0, seed: int = 0, offset: Sequence[float] = (400, 900, 1800)) -> bool:
    """Write a synthetic volume to the zarr container ``path``; its first voxel is at ``offset`` (nm).

    The container appears when it is whole. One that was made with these arguments is left as it is.

    :returns: whether it was made
    :raises UserError: if the arguments describe no volume, or ``path`` holds something else
    """
    path = Path(path)
    shape, voxel_size = check_arguments(shape, voxel_size, density, seed)
    if len(offset) != 3 or not np.isfinite(offset).all():
        raise UserError(f"offset {tuple(offset)}: give three numbers in nm, z y x")
    parameters = {"shape": list(shape), "voxel_size": list(voxel_size), "density": float(density), "seed": seed,
                  "offset": [float(o) for o in offset]}
    if _made_before(path, parameters):
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.stem}.partial-{os.getpid()}.zarr")
    try:
        partial.mkdir()  # so that a place that cannot be written is noticed before the work
        _write(partial, parameters)
        partial.rename(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return True


def _made_before(path: Path, parameters: dict[str, Any]) -> bool:
    if path.suffix != ".zarr":
        raise UserError(f"{path}: synthetic volumes are zarr containers. Name one that ends in .zarr")
    if not path.exists():
        return False
    try:
        made = json.loads((path / "volumes/raw/.zattrs").read_text())["provenance"]
        found = made["parameters"] if made["stage"] == STAGE else None
    except (OSError, ValueError, KeyError, TypeError):
        found = None
    if found is None:
        raise UserError(f"{path}: exists and is not a synthetic volume. Name another container")
    if found != parameters:
        different = ", ".join(f"{key} {found.get(key)}" for key, value in parameters.items() if found.get(key) != value)
        raise UserError(f"{path}: exists and was made with other parameters ({different}). Remove it, or name another "
                        "container")
    return True


def _write(path: Path, parameters: dict[str, Any]) -> None:
    from lsd_experiments.arrays import create_volume
    from lsd_experiments.geometry import Box

    made = synthesize(parameters["shape"], parameters["voxel_size"], parameters["density"], parameters["seed"])
    attrs = {"provenance": provenance(STAGE, parameters, inputs={})}
    for dataset, values in (("volumes/raw", made.raw), ("volumes/labels/neuron_ids", made.labels),
                            ("volumes/labels/labels_mask", (made.labels > 0).astype(np.uint8))):
        volume = create_volume(str(path), dataset, values.shape, parameters["voxel_size"], parameters["offset"],
                               values.dtype, attrs=attrs)
        volume.write(Box.of_shape(values.shape), values)
        LOGGER.info("wrote %s", volume.name)
