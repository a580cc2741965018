"""Synthetic volumes as containers: ``volumes/raw``, ``volumes/labels/neuron_ids``, ``volumes/labels/labels_mask``."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lsd_experiments.errors import UserError
from lsd_experiments.provenance import provenance
from lsd_experiments.synthetic.making import STAGE, appearing, made_before
from lsd_experiments.synthetic.volume import check_arguments, synthesize

LOGGER = logging.getLogger(__name__)


def write_synthetic(path: str | Path, shape: Sequence[int], voxel_size: Sequence[float] = (20, 9, 9),
                    density: float = 6.0, seed: int = 0, offset: Sequence[float] = (400, 900, 1800),
                    level: int | None = None) -> bool:
    """Write a synthetic volume to the zarr container ``path``; its first voxel is at ``offset`` (nm).

    The container appears when it is whole. One that was made with these arguments is left as it is.

    :param level: as of :func:`~lsd_experiments.synthetic.volume.synthesize`
    :returns: whether it was made
    :raises UserError: if the arguments describe no volume, or ``path`` holds something else
    """
    path = Path(path)
    shape, voxel_size = check_arguments(shape, voxel_size, density, seed, level)
    if len(offset) != 3 or not np.isfinite(offset).all():
        raise UserError(f"offset {tuple(offset)}: give three numbers in nm, z y x")
    parameters = {"shape": list(shape), "voxel_size": list(voxel_size), "density": float(density), "seed": seed,
                  "offset": [float(o) for o in offset]} | ({"level": level} if level else {})
    if made_before(path, parameters):
        return False
    with appearing(path) as partial:
        _write(partial, parameters)
    return True


def _write(path: Path, parameters: dict[str, Any]) -> None:
    from lsd_experiments.arrays import create_volume
    from lsd_experiments.geometry import Box

    made = synthesize(parameters["shape"], parameters["voxel_size"], parameters["density"], parameters["seed"],
                      parameters.get("level"))
    attrs = {"provenance": provenance(STAGE, parameters, inputs={})}
    for dataset, values in (("volumes/raw", made.raw), ("volumes/labels/neuron_ids", made.labels),
                            ("volumes/labels/labels_mask", (made.labels > 0).astype(np.uint8))):
        volume = create_volume(str(path), dataset, values.shape, parameters["voxel_size"], parameters["offset"],
                               values.dtype, attrs=attrs)
        volume.write(Box.of_shape(values.shape), values)
        LOGGER.info("wrote %s", volume.name)
