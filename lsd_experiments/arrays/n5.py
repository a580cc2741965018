"""N5: as zarr reads it, [z, y, x]; what its attributes list in x, y, z is reversed.

The voxel size is, in this order: ``resolution`` (or ``voxel_size``), ``transform`` (in the order of the axes that it
names), or ``pixelResolution`` (a list, or ``dimensions`` and ``unit``). ``offset`` and ``resolution`` are in nm.
"""

import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lsd_experiments.arrays.axes import clean, spatial
from lsd_experiments.arrays.metadata import Place, nm_per, triple, world
from lsd_experiments.arrays.zarrs import Zarr
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Nanometres

REVERSED = ("resolution", "voxel_size", "offset", "units")
FACTORS = "downsamplingFactors"
SIZES = ("resolution", "voxel_size", "units", "pixelResolution", "transform")  # that a group may say of its arrays

logger = logging.getLogger(__name__)


class N5(Zarr):
    """An N5 container in ``store``, one of zarr's N5 stores."""

    metadata = "attributes.json"

    def children(self, path: str) -> list[str]:
        """The names in the group at ``path``."""
        return [name for name in super().children(path) if name != "attributes.json"]

    def world(self, path: str, offset_only: bool = False) -> Place:
        """Voxel size and offset in nm, z y x; a size that the array does not say is that of a group above (the nearest one)."""
        attrs, where = self.attrs(path), f"{self.container}:{path}"
        voxel_size, offset = n5_world(attrs, where, offset_only)
        if voxel_size is not None or offset_only:
            return voxel_size, offset
        parts = path.split("/") if path else []
        for depth in range(len(parts) - 1, -1, -1):
            group = "/".join(parts[:depth])
            above = self.attrs(group)
            found = n5_world({key: above[key] for key in SIZES if key in above}, f"{self.container}:{group}")[0]
            if found is not None:
                factors = _factors(attrs.get(FACTORS, _of_scales(above, parts[depth:])), where)
                return tuple(n * f for n, f in zip(found, factors, strict=True)), offset
        return None, offset

    def axes(self, path: str) -> list[str] | None:
        """As the attribute ``axes`` lists them, the other way round; or as funlib.persistence or xarray tell them."""
        names = self.attrs(path).get("axes")
        return (clean(names[::-1]) if isinstance(names, list) else None) or self._named(path)


def n5_world(attrs: Mapping[str, Any], where: str, offset_only: bool = False) -> Place:
    """Voxel size and offset (z, y, x) in nm of N5 attributes, None where absent."""
    turned = {key: attrs[key][::-1] if isinstance(attrs[key], list) else attrs[key] for key in REVERSED if key in attrs}
    names = attrs.get("axes")
    axes = clean(names[::-1]) if isinstance(names, list) else None
    turned = {key: spatial(value, axes) for key, value in turned.items()}
    resolution, offset = world(turned, where, offset_only)
    if offset_only:
        return None, _transform(attrs["transform"], where)[1] if offset is None and "transform" in attrs else offset
    if resolution is None and "transform" in attrs:
        resolution, translation = _transform(attrs["transform"], where)
        return resolution, translation if offset is None else offset
    if resolution is None and "pixelResolution" in attrs:
        resolution = _pixel_resolution(attrs["pixelResolution"], where)
        factors = _factors(attrs.get(FACTORS), where)
        if factors != (1.0,) * 3:
            resolution = tuple(n * f for n, f in zip(resolution, factors, strict=True))
            logger.warning("%s: its pixelResolution is taken times its downsamplingFactors: voxels of %s nm. Give the voxel "
                           "size, if that is not meant", where, resolution)
    return resolution, offset


def _factors(value: Any, where: str) -> Nanometres:
    """``downsamplingFactors`` (x, y, z) as z, y, x; ones, if there are none."""
    if value is None:
        return (1.0,) * 3
    return triple(value[:3][::-1] if isinstance(value, list) else value, f"{where}: attribute '{FACTORS}'", positive=True)


def _of_scales(group: Mapping[str, Any], below: list[str]) -> Any:
    """What n5-viewer's ``scales`` or BigDataViewer's ``downsamplingFactors`` of a group say of its level ``s<k>``, or None."""
    scales = group.get("scales", group.get(FACTORS))
    level = below[-1].removeprefix("s")
    is_level = isinstance(scales, list) and below[-1].startswith("s") and level.isdecimal()
    return scales[int(level)] if is_level and int(level) < len(scales) else None


def _pixel_resolution(value: Any, where: str) -> Nanometres:
    where = f"{where}: attribute 'pixelResolution'"
    numbers, unit = (value.get("dimensions"), value.get("unit", "nm")) if isinstance(value, dict) else (value, "nm")
    turned = numbers[:3][::-1] if isinstance(numbers, list) else numbers
    factor = nm_per("nm" if unit in ("", None) else unit, where)
    return tuple(n * factor for n in triple(turned, where, positive=True))


def _transform(value: Any, where: str) -> tuple[Nanometres, Nanometres]:
    where = f"{where}: attribute 'transform'"
    try:
        order = [[axis.lower() for axis in value["axes"]].index(name) for name in "zyx"]
        units = [nm_per(value["units"][i], where) for i in order]
        scale = triple([value["scale"][i] for i in order], where, positive=True)
        translation = triple([value["translate"][i] for i in order], where)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{where} is {str(value)[:200]}; it needs axes, units, scale and translate for z, y, x") from error
    return (tuple(s * u for s, u in zip(scale, units, strict=True)),
            tuple(t * u for t, u in zip(translation, units, strict=True)))


def open_local(container: str) -> N5:
    """The N5 directory ``container``.

    :raises UserError: if it holds no attributes.json.
    """
    if not (Path(container) / "attributes.json").is_file() and not any(Path(container).glob("*/")):
        raise UserError(f"{container}: no N5 container (it is empty)")
    return N5(container, store(container))


def store(directory: str | Path) -> Any:
    """zarr's store for the N5 ``directory``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # N5 leaves zarr with version 3, which is excluded
        from lsd_experiments.arrays.n5_store import Directory

        return Directory(str(directory))


def turned(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """``attrs`` (z, y, x) as N5 stores them."""
    return {key: value[::-1] if key in REVERSED else value for key, value in attrs.items()}
