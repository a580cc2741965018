"""OME-Zarr 0.4: voxel size and offset of a scale level, from its group's ``multiscales``.

The transformations of the level and of the whole image are applied in this order, each ``scale`` and then
``translation``; lengths are converted to nm by the axes' units. A translation is taken as it stands: as where the
level's first voxel begins. See https://ngff.openmicroscopy.org/0.4/#multiscale-md.
"""

from typing import Any

import numpy as np

from lsd_experiments.arrays.metadata import nm_per
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Nanometres

Level = tuple[dict[str, Any], dict[str, Any], str]


def level(attrs: dict[str, Any], path: str, where: str) -> Level | None:
    """The image, and the dataset in it, that ``path`` is in a group with ``attrs`` at ``where``; None if it is none."""
    for image in attrs.get("multiscales", ()):
        for dataset in image.get("datasets", ()):
            if dataset.get("path") == path:
                return image, dataset, f"{where}/{path}"
    return None


def world(image: dict[str, Any], dataset: dict[str, Any], where: str) -> tuple[Nanometres, Nanometres]:
    """Voxel size and offset (z, y, x) in nm."""
    axes = _axes(image, where)
    scale, translation = np.ones(len(axes)), np.zeros(len(axes))
    for transform in [*dataset.get("coordinateTransformations", ()), *image.get("coordinateTransformations", ())]:
        values = np.asarray(transform.get(transform.get("type"), ()), dtype=np.float64)
        if transform.get("type") not in ("scale", "translation") or values.shape != scale.shape:
            raise UserError(f"{where}: coordinateTransformations {transform} is not read. Write scale and translation "
                            "with one number per axis")
        if transform["type"] == "scale":
            scale, translation = scale * values, translation * values
        else:
            translation = translation + values
    factors = np.array([nm_per(axis["unit"], f"{where}: unit of axis {axis['name']}") for axis in axes[-3:]])
    return tuple((scale[-3:] * factors).tolist()), tuple((translation[-3:] * factors).tolist())


def has_channels(image: dict[str, Any], shape: tuple[int, ...], where: str) -> bool:
    """Whether a level of ``shape`` has channels; a channel axis of length 1 is none."""
    names = [axis["name"] for axis in _axes(image, where)]
    if len(names) != len(shape):
        raise UserError(f"{where}: {len(names)} axes ({', '.join(names)}) for the shape {tuple(shape)}")
    for name, length in zip(names[:-3], shape, strict=False):
        if name != "c" and length != 1:
            raise UserError(f"{where}: axis {name} has the length {length}, only z, y, x and c may have more than 1")
    return any(name == "c" and length > 1 for name, length in zip(names, shape, strict=True))


def _axes(image: dict[str, Any], where: str) -> list[dict[str, Any]]:
    axes = image.get("axes", ())
    named = [axis if isinstance(axis, dict) else {"name": axis} for axis in axes]
    if [axis.get("name") for axis in named[-3:]] != ["z", "y", "x"]:
        raise UserError(f"{where}: its last axes are {[axis.get('name') for axis in named[-3:]]}, not z, y, x")
    for axis in named[-3:]:
        if "unit" not in axis:
            raise UserError(f"{where}: axis {axis['name']} has no unit. Add \"unit\": \"nanometer\" to the axes of its "
                            "multiscales")
    return named
