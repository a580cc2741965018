"""Voxel size and offset from an array's attributes, and lengths as nm."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lsd_experiments.errors import NoVoxelSize, UserError
from lsd_experiments.geometry import Nanometres

logger = logging.getLogger(__name__)

Place = tuple[Nanometres | None, Nanometres | None]  # voxel size and offset
MICROMETRES = "element_size_um"  # of ilastik and EMBL: z, y, x in micrometres

NM_PER = {
    "nm": 1.0, "nanometer": 1.0, "nanometre": 1.0, "nanometers": 1.0, "nanometres": 1.0,
    "um": 1e3, "µm": 1e3, "μm": 1e3, "micron": 1e3, "microns": 1e3,
    "micrometer": 1e3, "micrometre": 1e3, "micrometers": 1e3, "micrometres": 1e3,
    "mm": 1e6, "millimeter": 1e6, "millimetre": 1e6, "cm": 1e7, "centimeter": 1e7, "centimetre": 1e7, "inch": 2.54e7,
    "m": 1e9, "meter": 1e9, "metre": 1e9,
    "pm": 1e-3, "picometer": 1e-3, "picometre": 1e-3, "å": 0.1, "angstrom": 0.1,
}


def nm_per(unit: object, where: str) -> float:
    """How many nm one ``unit`` has.

    :raises UserError: if it is no unit of length; ``where`` names the file and key.
    """
    factor = NM_PER.get(str(unit).strip().lower())
    if factor is None:
        raise UserError(f"{where}: '{unit}' is no unit of length. Write nanometer or micrometer")
    return factor


def placed(given: Nanometres | None, read: Callable[[bool], Place], where: str) -> tuple[Nanometres, Nanometres]:
    """Voxel size and offset of a volume: ``given`` comes first, and the stored size is not looked at then.

    :param read: gives what is stored, None where it is not; its argument says that only the offset is wanted.
    :raises UserError: if neither is there, or what is stored is needed and nonsense.
    """
    voxel_size, offset = read(given is not None)
    voxel_size = given if given is not None else voxel_size
    if voxel_size is None:
        raise NoVoxelSize(f"{where} has no voxel size. Add the attribute 'resolution': [z, y, x] in nm, or name a crop (.json) "
                          "with 'voxel_size'")
    return voxel_size, offset or (0.0, 0.0, 0.0)


def world(attrs: Mapping[str, Any], where: str, offset_only: bool = False) -> Place:
    """``resolution`` (or its synonyms ``voxel_size``, ``element_size_um``) and ``offset`` of ``attrs`` in nm; None where absent.

    ``units`` beside them, if there, is heeded; empty ones are nm. ``offset_only``: the voxel size is not looked at.

    Where two of them contradict each other, the first is taken, with a warning.

    :raises UserError: if they are nonsense.
    """
    present = {key for key in ("resolution", "voxel_size", "offset") if attrs.get(key) is not None}
    present -= {"resolution", "voxel_size"} if offset_only else set()
    factors = _factors(attrs.get("units"), where) if present else (1.0,) * 3
    found = {key: _times(triple(attrs[key], f"{where}: attribute '{key}'", positive=key != "offset"), factors)
             for key in present}
    if attrs.get(MICROMETRES) is not None and not offset_only:
        micrometres = triple(attrs[MICROMETRES], f"{where}: attribute '{MICROMETRES}'", positive=True)
        found[MICROMETRES] = _times(micrometres, (1e3,) * 3)
    sizes = [(key, found[key]) for key in ("resolution", "voxel_size", MICROMETRES) if key in found]
    for key, size in sizes[1:]:
        if not np.allclose(size, sizes[0][1], rtol=1e-3, atol=0):
            logger.warning("%s: its attributes '%s' and '%s' contradict each other (%s and %s nm); the first is taken. "
                           "Correct one, or give the voxel size", where, sizes[0][0], key, sizes[0][1], size)
    return sizes[0][1] if sizes else None, found.get("offset")


def _factors(units: Any, where: str) -> Nanometres:
    """nm in one of each of the last three ``units``."""
    where = f"{where}: attribute 'units'"
    if isinstance(units, str):
        units = [units] * 3
    if not isinstance(units or [], (list, tuple)):
        raise UserError(f"{where} is {units!r}; it must be three texts, like nm")
    factors = tuple(nm_per(unit, where) if unit not in ("", None) else 1.0 for unit in (units or ())[-3:])
    return factors if len(factors) == 3 else (1.0,) * 3


def _times(values: Nanometres, factors: Nanometres) -> Nanometres:
    return tuple(v * f for v, f in zip(values, factors, strict=True))


def triple(values: Any, where: str, positive: bool = False) -> Nanometres:
    """The last three of ``values`` (channels come first) as finite floats.

    :raises UserError: if they are not three numbers.
    """
    listed = list(values) if isinstance(values, (list, tuple, np.ndarray)) else []
    is_numeric = all(isinstance(v, (int, float, np.number)) and not isinstance(v, bool) for v in listed)
    try:
        numbers = tuple(float(v) for v in listed[-3:]) if is_numeric else ()
    except OverflowError:
        numbers = ()
    if len(numbers) != 3 or not all(np.isfinite(numbers)) or (positive and min(numbers) <= 0):
        wanted = "three positive numbers" if positive else "three numbers"
        raise UserError(f"{where} is {_short(values)}; it must be {wanted} (z, y, x) in nm")
    return numbers


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}..."
