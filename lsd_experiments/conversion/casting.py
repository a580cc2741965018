"""Values of one type as another: whole and exact, or an error; or a range of values stretched over all of the type.

    --dtype uint64              1.0 -> 1    1.5, -1, NaN: refused
    --range 400 3000            400 -> 0    3000 -> 255    below and above: clipped, and counted
"""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays import Volume
from lsd_experiments.arrays.grids import show_place
from lsd_experiments.errors import UserError

DTYPES = ("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float32", "float64")
STRETCHED = 4  # bytes of the types that a range is stretched over, at most: longer ones are more exact than float64 is


@dataclass
class Cast:
    """To ``dtype``; ``limits``: the values that become its least and its greatest (of floats: 0 and 1).

    ``clipped``: how many values were outside of them.
    """

    dtype: np.dtype[Any]
    limits: tuple[float, float] | None = None
    clipped: int = field(default=0, compare=False)

    def check(self, source: Volume) -> None:
        """:raises UserError: if the types do not go together, or the limits are none."""
        if source.dtype.kind not in "buif":
            raise UserError(f"{source.name} is of type {source.dtype}, which is not converted. Name another dataset")
        if self.limits is None:
            return
        low, high = self.limits
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise UserError(f"--range {low:g} {high:g}: the first must be the lower one. Name two numbers like 0 4095")
        if self.dtype.kind in "iu" and self.dtype.itemsize > STRETCHED:
            raise UserError(f"--range is for raw, --dtype {self.dtype} for ids. Leave out --range, or name uint8 or uint16")

    def apply(self, values: NDArray[Any], source: Volume, begin: tuple[int, ...], stride: int = 1) -> NDArray[Any]:
        """``values`` [z, y, x] or [c, z, y, x], every ``stride``-th voxel of ``source`` from ``begin`` on, of the new type.

        :raises UserError: if one does not fit; it is named, with its place and how many do not
        """
        if self.limits is not None:
            return self._stretched(values, source, begin, stride)
        with np.errstate(invalid="ignore", over="ignore"):
            new = values.astype(self.dtype)
        wrong = self._wrong(values, new)
        if wrong.any():
            raise UserError(f"{_found(values, wrong, source, begin, stride)} does not fit into {self.dtype}"
                            f"{_others(wrong)}. {self._advice(values[wrong])}")  # fmt: skip
        return new

    def _wrong(self, values: NDArray[Any], new: NDArray[Any]) -> NDArray[np.bool_]:
        """Where ``new`` is not what ``values`` are; floats may be rounded to shorter floats."""
        kinds = values.dtype.kind + self.dtype.kind
        if kinds == "ff":
            return np.asarray(np.isinf(new) & ~np.isinf(values))
        if kinds[0] == "b":
            return np.zeros(values.shape, bool)
        if kinds[1] == "f":
            return ~_same(values, new)
        info = np.iinfo(self.dtype)
        if kinds[0] == "f":
            # The type's end as a float is one beyond it, for 64 bits exactly so.
            numbers = values.astype(np.float64)
            fits = (numbers >= float(info.min)) & (numbers < 2.0 ** (info.bits - (self.dtype.kind == "i")))
            return np.asarray(~fits | (np.rint(numbers) != numbers))
        found = np.iinfo(values.dtype)
        wrong = np.zeros(values.shape, bool)
        if found.min < info.min:
            wrong |= values < values.dtype.type(info.min)
        if found.max > info.max:
            wrong |= values > values.dtype.type(info.max)
        return wrong

    def _advice(self, wrong: NDArray[Any]) -> str:
        ids = wrong.dtype.kind == "i" and self.dtype.kind == "u" and bool((wrong < 0).all())
        if ids:
            some = " ".join(map(str, np.unique(wrong)[:16].tolist()))
            return f"Of labels, set it to 0 by --exclude {some}; of raw, name --range LOW HIGH, or a signed --dtype"
        return "Name a --dtype that holds it, or of raw --range LOW HIGH"

    def _stretched(self, values: NDArray[Any], source: Volume, begin: tuple[int, ...], stride: int) -> NDArray[Any]:
        assert self.limits is not None, "asked for with limits only"
        (low, high), numbers = self.limits, values.astype(np.float64)
        unknown = np.isnan(numbers)
        if unknown.any():
            raise UserError(f"{_found(values, unknown, source, begin, stride)} is no number{_others(unknown)}. Replace it by one")
        least, greatest = (0.0, 1.0) if self.dtype.kind == "f" else (float(n) for n in _ends(self.dtype))
        self.clipped += int(np.count_nonzero((numbers < low) | (numbers > high)))
        scaled = least + (np.clip(numbers, low, high) - low) / (high - low) * (greatest - least)
        return (scaled if self.dtype.kind == "f" else np.rint(scaled)).astype(self.dtype)


def _ends(dtype: np.dtype[Any]) -> tuple[int, int]:
    info = np.iinfo(dtype)
    return int(info.min), int(info.max)


def _same(values: NDArray[Any], new: NDArray[Any]) -> NDArray[np.bool_]:
    """Where the floats ``new`` are exactly the integers ``values``."""
    least, greatest = _ends(values.dtype)
    with np.errstate(invalid="ignore"):
        # As a float the greatest integer may be rounded up to one that is none, which would wrap.
        inside = (new >= float(least)) & (new < float(greatest + 1)) & np.isfinite(new)
        back = np.where(inside, new, 0).astype(values.dtype)
    return np.asarray(inside & (back == values))


def _found(values: NDArray[Any], wrong: NDArray[np.bool_], source: Volume, begin: tuple[int, ...], stride: int) -> str:
    index = tuple(int(i) for i in np.argwhere(wrong)[0])
    voxel = [(b + i) * stride for b, i in zip(begin, index[-3:], strict=True)]
    return f"{source.name}: the value {values[index]} {show_place(source, voxel)}"


def _others(wrong: NDArray[np.bool_]) -> str:
    others = int(np.count_nonzero(wrong)) - 1
    return f", nor do {others} others near it" if others else ""
