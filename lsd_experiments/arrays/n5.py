"""N5: as zarr reads it, [z, y, x]; what its attributes list in x, y, z is reversed.

The voxel size is, in this order: ``resolution`` (or ``voxel_size``), ``transform`` (in the order of the axes that it
names), or ``pixelResolution`` (a list, or ``dimensions`` and ``unit``). ``offset`` and ``resolution`` are in nm.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lsd_experiments.arrays.metadata import nm_per, triple, world
from lsd_experiments.arrays.zarrs import Zarr
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Nanometres

REVERSED = ("resolution", "voxel_size", "offset", "units")


class N5(Zarr):
    """An N5 container in ``store``, one of zarr's N5 stores."""

    def children(self, path: str) -> list[str]:
        """The names in the group at ``path``."""
        return [name for name in super().children(path) if name != "attributes.json"]

    def world(self, path: str) -> tuple[Nanometres | None, Nanometres | None]:
        """Voxel size and offset in nm, z y x."""
        return n5_world(self.attrs(path), f"{self.container}:{path}")

    def channel_axis(self, path: str) -> bool | None:
        """Not stored."""
        return None


def n5_world(attrs: Mapping[str, Any], where: str) -> tuple[Nanometres | None, Nanometres | None]:
    """Voxel size and offset (z, y, x) in nm of N5 attributes, None where absent."""
    turned = {key: attrs[key][::-1] for key in REVERSED if isinstance(attrs.get(key), list)}
    if any(len(value) > 3 for value in turned.values()):  # reversed, channels are first
        turned = {key: value[-3:] for key, value in turned.items()}
    resolution, offset = world(turned, where)
    if resolution is None and "transform" in attrs:
        return _transform(attrs["transform"], where)
    if resolution is None and "pixelResolution" in attrs:
        resolution = _pixel_resolution(attrs["pixelResolution"], where)
    return resolution, offset


def _pixel_resolution(value: Any, where: str) -> Nanometres:
    where = f"{where}: attribute 'pixelResolution'"
    numbers, unit = (value.get("dimensions"), value.get("unit", "nm")) if isinstance(value, dict) else (value, "nm")
    turned = numbers[:3][::-1] if isinstance(numbers, list) else numbers
    factor = nm_per(unit, where)
    return tuple(n * factor for n in triple(turned, where, positive=True))


def _transform(value: Any, where: str) -> tuple[Nanometres, Nanometres]:
    where = f"{where}: attribute 'transform'"
    try:
        order = [[axis.lower() for axis in value["axes"]].index(name) for name in "zyx"]
        units = [nm_per(value["units"][i], where) for i in order]
        scale = triple([value["scale"][i] for i in order], where, positive=True)
        translation = triple([value["translate"][i] for i in order], where)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{where} is {value!r}; it needs axes, units, scale and translate for z, y, x") from error
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
    import zarr

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # N5 leaves zarr with version 3, which is excluded
        return zarr.N5Store(str(directory))


def turned(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """``attrs`` (z, y, x) as N5 stores them."""
    return {key: value[::-1] if key in REVERSED else value for key, value in attrs.items()}
