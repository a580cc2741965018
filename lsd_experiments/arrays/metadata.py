"""Voxel size and offset from an array's attributes, and lengths as nm."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Nanometres

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


def world(attrs: Mapping[str, Any], where: str) -> tuple[Nanometres | None, Nanometres | None]:
    """``resolution`` (or its synonym ``voxel_size``) and ``offset`` of ``attrs``, in nm as stored; None where absent.

    ``units`` beside them, if there, is heeded.
    """
    factors = [nm_per(unit, f"{where}: attribute 'units'") for unit in attrs.get("units") or ()][-3:]
    factors = factors if len(factors) == 3 else [1.0] * 3
    found: list[Nanometres | None] = []
    for keys in (("resolution", "voxel_size"), ("offset",)):
        key = next((k for k in keys if k in attrs), None)
        numbers = None if key is None else triple(attrs[key], f"{where}: attribute '{key}'", positive=key != "offset")
        found.append(numbers and tuple(n * f for n, f in zip(numbers, factors, strict=True)))
    return found[0], found[1]


def triple(values: Any, where: str, positive: bool = False) -> Nanometres:
    """The last three of ``values`` (channels come first) as finite floats.

    :raises UserError: if they are not three numbers.
    """
    try:
        numbers = tuple(float(v) for v in np.asarray(values, dtype=np.float64).ravel()[-3:])
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) != 3 or not all(np.isfinite(numbers)) or (positive and min(numbers) <= 0):
        wanted = "three positive numbers" if positive else "three numbers"
        raise UserError(f"{where} is {values!r}; it must be {wanted} (z, y, x) in nm")
    return numbers
