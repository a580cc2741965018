"""How raw becomes [0, 1]: which value is 0, and which is 1. What lies outside is clipped.

A *setting* is ``"type"`` (the range of the type: 0 to 255 of uint8; of floats 0 to 1), two numbers, or two percentiles like
``("0.1%", "99.9%")``. It comes to a *range* of two numbers for each type of raw, joint for all volumes of that type. If nobody
says, uint8 goes by its type's range, and all else by what the data hold. Training notes the ranges in its checkpoints, as

    {"setting": null, "ranges": {"uint16": [96, 4095]}, "held": {"uint16": [96, 4095]}}

and prediction takes them from there. A checkpoint without a note goes by the type, as all did before.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from lsd_experiments.arrays import Volume
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box
from lsd_experiments.raw_range import Setting

Range = tuple[float, float]

DIVIDED = (np.uint8, np.uint16)  # types whose range is what they are divided by: they are left as they are
WHOLE = 2**24  # voxels up to which all are looked at; of larger volumes a sample, the same each time
BOXES, SIDE = 64, 64  # of the sample: how many, and voxels along each axis
THINNED = 2**20  # voxels of a volume that percentiles are taken of
NOTE = "raw_range"  # in a checkpoint's record
OUTLIERS = 1e-4  # the share of voxels that may be hot or dead
REMEDY = "--raw-range LOW HIGH (raw_range = [LOW, HIGH] in [predict])"


def kind_of(dtype: DTypeLike) -> str:
    """What a type is called in a checkpoint's note: floats of any width are one."""
    dtype = np.dtype(dtype)
    return "float" if dtype.kind == "f" else dtype.name


def type_range(dtype: DTypeLike) -> Range:
    """The range of a type."""
    dtype = np.dtype(dtype)
    if dtype.kind not in "ui":
        return (0.0, 1.0)
    return (float(np.iinfo(dtype).min), float(np.iinfo(dtype).max))


def is_divided(dtype: DTypeLike, low_high: Range | None) -> bool:
    """Whether raw of this type and range is left as it is on disk, and divided by the greatest value of its type later."""
    return np.dtype(dtype) in DIVIDED and (low_high is None or tuple(low_high) == type_range(dtype))


def scale(values: NDArray[Any], low_high: Range, name: str = "raw") -> NDArray[np.float32]:
    """``values`` as float32 in [0, 1]: 0 at and below the first of ``low_high``, 1 at and above the second.

    :raises UserError: if a value is not finite
    """
    check_finite(values, name)
    low, high = low_high
    exact = np.float32 if values.dtype.itemsize <= 2 or values.dtype == np.float32 else np.float64
    scaled: NDArray[Any] = np.subtract(values, exact(low), dtype=exact)
    np.divide(scaled, exact(high - low), out=scaled)
    return np.clip(scaled, 0, 1, out=scaled).astype(np.float32, copy=False)


def check_finite(values: NDArray[Any], name: str, begin: Sequence[int] = (0, 0, 0)) -> None:
    """:raises UserError: if values that begin at voxel ``begin`` of ``name`` are not all finite; it says how many, and where."""
    if values.dtype.kind != "f" or np.isfinite(values.sum(dtype=np.float64)):
        return
    wrong = ~np.isfinite(values)
    if wrong.any():
        refuse_not_finite(name, int(wrong.sum()), values.size, _first(wrong, values, begin))


def refuse_not_finite(name: str, count: int, of: int, first: tuple[tuple[int, ...], Any]) -> None:
    """:raises UserError: always."""
    place, value = first
    raise UserError(f"{name}: the value at {place} is {value}; {count} of {of} voxels are no finite numbers. Replace them")


def check_all_finite(volume: Volume, box: Box | None = None) -> None:
    """Look at all voxels of ``box`` (default: of the volume) slab by slab; only floats can be wrong.

    :raises UserError: if one is not finite; it says how many are, and where the first is
    """
    if volume.dtype.kind != "f":
        return
    count, first = 0, None
    box = volume.box if box is None else box
    for slab in _slabs(box):
        wrong = ~np.isfinite(values := volume.read(slab))
        if wrong.any():
            count += int(wrong.sum())
            first = first or _first(wrong, values, slab.begin)
    if first:
        refuse_not_finite(volume.name, count, math.prod(box.shape), first)


def _first(wrong: NDArray[np.bool_], values: NDArray[Any], begin: Sequence[int]) -> tuple[tuple[int, ...], Any]:
    index = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
    return tuple(int(b + i) for b, i in zip(begin, index, strict=True)), values[index]


def _slabs(box: Box) -> Iterator[Box]:
    """``box`` in slabs of at most about ``WHOLE`` voxels."""
    sections = max(1, WHOLE // math.prod(box.shape[1:]))
    return (slab.intersect(box) for slab in box.blocks((sections, *box.shape[1:])))


def sample(volume: Volume, strict: bool = True) -> NDArray[Any]:
    """Voxels of ``volume``, flat: all of a small one, and of a large one those of boxes at random places, the same each time.

    :param strict: refuse what is not finite; else leave it out, where it is perhaps not read
    :raises UserError: if one is not finite
    """
    boxes = [volume.box]
    if math.prod(volume.shape) > WHOLE:
        generator, last = np.random.default_rng(0), [max(0, size - SIDE) for size in volume.shape]
        places = [(0, 0, 0), last, *(generator.integers(0, last, endpoint=True).tolist() for _ in range(BOXES - 2))]
        boxes = [Box.of_shape((SIDE,) * 3, place).intersect(volume.box) for place in places]
    parts = []
    for box in boxes:
        values = volume.read(box)
        if strict:
            check_finite(values, volume.name, box.begin)
        elif values.dtype.kind == "f":
            values = values[np.isfinite(values)]
        parts.append(values.ravel())
    return np.concatenate(parts)


def held(values: NDArray[Any]) -> Range:
    """The least and the greatest of ``values``, but for a few that lie far from all others: hot and dead voxels."""
    if not values.size:
        return 0.0, 0.0
    low, high = float(values.min()), float(values.max())
    usual_low, usual_high = np.quantile(_thin(values), [OUTLIERS, 1 - OUTLIERS]).tolist()
    far = (usual_high - usual_low) / 4
    if usual_low < usual_high:
        low, high = (usual_low if usual_low - low > far else low), (usual_high if high - usual_high > far else high)
    return low, high


def percentiles(volumes: Sequence[Volume], setting: tuple[str, str]) -> Range:
    """The values of two percentiles, like ``("0.1%", "99.9%")``, over all volumes."""
    values = np.concatenate([_thin(sample(volume)) for volume in volumes])
    low, high = np.percentile(values, [float(part.removesuffix("%")) for part in setting]).tolist()
    return low, high


def _thin(values: NDArray[Any]) -> NDArray[np.float64]:
    return values[:: max(1, len(values) // THINNED)].astype(np.float64)


def check_range(low_high: Range, name: str, values: str = "all that was looked at") -> Range:
    """``low_high``.

    :raises UserError: if both are one
    """
    if not low_high[0] < low_high[1]:
        raise UserError(f"{name}: {values} is {low_high[0]:g}: raw of one value shows nothing. Name another dataset, or say "
                        f"which values are 0 and 1 by {REMEDY}")
    return low_high


def by_setting(volumes: Sequence[Volume], setting: Setting) -> Range:
    """The range that ``setting`` comes to for volumes of one type.

    :raises UserError: if percentiles are one value
    """
    if isinstance(setting, str):
        return type_range(volumes[0].dtype)
    if isinstance(setting[0], str):
        return check_range(percentiles(volumes, (setting[0], str(setting[1]))), volumes[0].name)
    return float(setting[0]), float(setting[1])


def noted_range(note: Mapping[str, Any] | None, dtype: DTypeLike, what: str = "ranges") -> Range | None:
    """What the note of a checkpoint says of a type; None if nothing."""
    found = (note or {}).get(what, {}).get(kind_of(dtype))
    return None if found is None else (float(found[0]), float(found[1]))


def as_before(dtype: DTypeLike, data: Range) -> Range:
    """The range of a checkpoint without a note: the type's, as before, where that was possible; else what the data hold."""
    dtype = np.dtype(dtype)
    fits = dtype in DIVIDED or (dtype.kind == "f" and 0 <= data[0] <= data[1] <= 1)
    return type_range(dtype) if fits else data


def show(low_high: Range) -> str:
    """``96 to 4095``."""
    return f"{low_high[0]:g} to {low_high[1]:g}"
