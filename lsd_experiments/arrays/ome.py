"""OME-Zarr 0.4: voxel size, offset and axes of a scale level, from its group's ``multiscales``.

The transformations of the level and of the whole image are applied in this order, each ``scale`` and then
``translation``; lengths are converted to nm by the axes' units. See https://ngff.openmicroscopy.org/0.4/#multiscale-md.

Writers mean the centre of a level's first voxel: of voxels of 4, 8 and 16 nm that begin at 0, 2 and 6. The finest level's
translation is taken as it stands, as where its first voxel begins; level k begins at t_k - (v_k - v_0) / 2, so that levels
made of whole blocks share a corner.
"""

import contextlib
from typing import Any

import numpy as np

from lsd_experiments.arrays import axes as named
from lsd_experiments.arrays.metadata import Place, nm_per
from lsd_experiments.errors import UserError

Level = tuple[dict[str, Any], dict[str, Any], str]


def level(attrs: dict[str, Any], path: str, where: str) -> Level | None:
    """The image, and the dataset in it, that ``path`` is in a group with ``attrs`` at ``where``; None if it is none."""
    for image in tables(attrs.get("multiscales"), f"{where}: 'multiscales'"):
        for dataset in tables(image.get("datasets"), f"{where}: 'datasets' of its multiscales"):
            if dataset.get("path") == path:
                return image, dataset, f"{where}/{path}"
    return None


def tables(value: Any, where: str) -> list[dict[str, Any]]:
    """``value``, a list of tables; empty if it is None.

    :raises UserError: if it is anything else.
    """
    if not isinstance(value or [], list) or not all(isinstance(v, dict) for v in value or ()):
        raise UserError(f"{where} is {str(value)[:80]}, not a list of tables. Correct it, or remove it")
    return value or []


def world(image: dict[str, Any], dataset: dict[str, Any], where: str, offset_only: bool = False) -> Place:
    """Voxel size and offset (z, y, x) in nm; ``offset_only``: an image that does not say its offset begins at 0."""
    if offset_only and not _translates(image, dataset, where):
        return None, None
    names = axes(image)
    if names is None:
        raise UserError(f"{where}: its axes are {_shown(image)}, not z, y, x")
    scale, translation = _transform(image, dataset, len(names), where)
    begin = translation - (scale - _finest(image, len(names), where)) / 2
    order = [names.index(axis) for axis in named.SPACE]
    factors = np.array([_unit(image, i, where) for i in order])
    size, offset = scale[order] * factors, begin[order] * factors
    if not (np.isfinite(size).all() and np.isfinite(offset).all() and (size > 0).all()):
        raise UserError(f"{where}: coordinateTransformations give voxels of {size.tolist()} nm from {offset.tolist()} nm. "
                        "Correct them")
    return tuple(size.tolist()), tuple(offset.tolist())


def _finest(image: dict[str, Any], axes: int, where: str) -> Any:
    """The scale of the finest level of those that can be read."""
    scales = []
    for dataset in tables(image.get("datasets"), where):
        with contextlib.suppress(UserError):
            scales.append(_transform(image, dataset, axes, where)[0])
    return min(scales, key=np.prod)


def axes(image: dict[str, Any]) -> list[str] | None:
    """The names of the axes of ``image``, or None if z, y, x are not all among them."""
    stored = image.get("axes")
    listed = stored if isinstance(stored, list) else []
    return named.clean([axis.get("name") if isinstance(axis, dict) else axis for axis in listed])


def _translates(image: dict[str, Any], dataset: dict[str, Any], where: str) -> bool:
    transforms = [t for table in (image, dataset) for t in tables(table.get("coordinateTransformations"), where)]
    return any(transform.get("type") != "scale" for transform in transforms)


def _transform(image: dict[str, Any], dataset: dict[str, Any], axes: int, where: str) -> tuple[Any, Any]:
    """Scale and translation of each of the ``axes``."""
    scale, translation = np.ones(axes), np.zeros(axes)
    key = "coordinateTransformations"
    for transform in [t for table in (dataset, image) for t in tables(table.get(key), f"{where}: {key}")]:
        kind = transform.get("type")
        values = _numbers(transform.get(kind) if kind in ("scale", "translation") else None)
        if values is None or values.shape != scale.shape:
            raise UserError(f"{where}: {key} {str(transform)[:200]} is not read. Write scale and translation "
                            "with one number per axis")
        if kind == "scale":
            scale, translation = scale * values, translation * values
        else:
            translation = translation + values
    return scale, translation


def _numbers(values: Any) -> Any | None:
    is_list = isinstance(values, list) and all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)
    try:
        return np.array([float(v) for v in values]) if is_list else None
    except OverflowError:
        return None


def _unit(image: dict[str, Any], number: int, where: str) -> float:
    axis = image["axes"][number]
    if not isinstance(axis, dict) or not axis.get("unit"):
        name = axis.get("name") if isinstance(axis, dict) else axis
        raise UserError(f"{where}: axis {name} has no unit. Add \"unit\": \"nanometer\" to the axes of its multiscales")
    return nm_per(axis["unit"], f"{where}: unit of axis {axis['name']}")


def _shown(image: dict[str, Any]) -> str:
    stored = image.get("axes")
    return str([a.get("name") if isinstance(a, dict) else a for a in stored] if isinstance(stored, list) else stored)[:80]
