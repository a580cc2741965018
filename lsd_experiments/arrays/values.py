"""Raw values as the networks want them: float32 in [0, 1]."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.errors import UserError

SEARCHED = 2**28  # voxels of float raw that are searched whole for what is not a number before work starts; more: as read


def to_unit_range(values: NDArray[Any], name: str = "raw") -> NDArray[np.float32]:
    """``values`` as float32 in [0, 1].

    uint8 is divided by 255 and uint16 by 65535. (The published training's ``Normalize``, gunpowder at commit b38c515,
    divided uint16 by 255 squared, which gives values up to 1.008.) Floats must lie in [0, 1] already.

    :param name: what messages call the values.
    :raises UserError: for another type, a float outside of [0, 1], or one that is not finite.
    """
    dtype = values.dtype
    if dtype in (np.uint8, np.uint16):
        # Divided, not multiplied by the inverse: 257 v of uint16 gives to the last bit what v of uint8 does.
        scaled: NDArray[np.float32] = np.divide(values, np.float32(np.iinfo(dtype).max), dtype=np.float32)
        return scaled
    if dtype.kind != "f":
        raise UserError(f"{name}: raw of type {dtype}; taken are uint8, uint16, and floats in [0, 1]{_scaled(values)}")
    _check_range(values, name)
    return values.astype(np.float32)


def _scaled(values: NDArray[Any]) -> str:
    """What makes raw of integers, for a message."""
    if not values.size or values.dtype.kind not in "uib":
        return ""
    low, high = int(values.min()), int(values.max())
    return f". In Python, lsd_experiments.intensity.scale(raw, ({low}, {max(high, low + 1)})) makes these of it"


def _check_range(values: NDArray[Any], name: str) -> None:
    if values.size == 0:
        return
    low, high = float(values.min()), float(values.max())  # NaN if any is
    if not np.isfinite(low + high):
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
        raise UserError(f"{name}: the value at {place} of shape {values.shape} is {values[place]}. Replace it by a "
                        "number")
    if low < 0 or high > 1:
        raise UserError(f"{name}: float raw from {low:g} to {high:g}. Scale it to [0, 1], or store it as uint8 or "
                        "uint16")
