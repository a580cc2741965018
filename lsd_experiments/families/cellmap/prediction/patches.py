"""The patches of a crop, in one or, of 2-D networks, three orientations.

    raw     |----------------------------------------|       of the dataset, which goes on beyond the crop
    crop            |-----------------------|                 from its first voxel on, in voxels of the output
    input       |--------|                                    what the network sees of it,
    window        |----|  |----|       |----|                 and what it gives; the last one ends with the crop

A crop that is smaller than a window is in its middle, or as far to a side as the raw that there is asks for.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.errors import UserError
from lsd_experiments.families.cellmap.configuration import ArrayInfo
from lsd_experiments.families.cellmap.prediction.crops import Place
from lsd_experiments.families.pytc.inference.images import UNIT
from lsd_experiments.families.pytc.inference.patches import Patches
from lsd_experiments.geometry import Box, Voxels
from lsd_experiments.prediction.tiling import starts_inside

if TYPE_CHECKING:
    from lsd_experiments.families.cellmap.configuration import Settings
    from lsd_experiments.families.cellmap.data.images import Image

MOST_UNITS = 16  # voxels of the output after which a voxel of the input begins again


@dataclass(frozen=True)
class Raw:
    """``image``, whose voxels are counted from ``first`` on, which is where the crop begins."""

    image: "Image"
    first: Voxels

    def grays(self, box: Box) -> NDArray[Any]:
        """``box``, which may lie before the crop, or beyond the image."""
        return self.image.read(box.shift(self.first))

    def in_range(self, grays: NDArray[Any]) -> NDArray[Any]:
        """The preprocessing of a checkpoint takes what is stored."""
        return grays


@dataclass(frozen=True)
class Plane:
    """Patches of one orientation; ``flat``: the axis of which a 2-D network sees one voxel."""

    patches: Patches[Raw]
    flat: int | None


def open_raw(settings: "Settings", place: Place) -> Raw:
    """The raw of a crop, at the scale of the input.

    :raises UserError: if it cannot be read
    """
    from lsd_experiments.families.cellmap.data.images import Image

    scale = settings.input_array_info["scale"]
    image = Image(place.container, place.group, scale, "raw", place.begin)
    first = tuple(round((b - o) / s) for b, o, s in zip(place.begin, image.offset, scale, strict=True))
    return Raw(image, first)


def crop_shape(settings: "Settings", place: Place) -> Voxels:
    """Voxels of the output, of which the last ones may reach over the crop's end."""
    scale = settings.target_array_info["scale"]
    return tuple(max(1, math.ceil(round((e - b) / s, 3))) for b, e, s in zip(place.begin, place.end, scale, strict=True))


def planes(settings: "Settings", raw: Raw, shape: Voxels, overlap: float, blending: str, orthoplanes: bool) -> list[Plane]:
    """The orientations of a network: one of 3-D ones; of 2-D ones three, unless not ``orthoplanes``, or voxels are no cubes.

    :param shape: of the crop, in voxels of the output
    :param overlap: share of a patch that it has in common with the next one
    :raises UserError: if scales do not fit
    """
    source, target = settings.input_array_info, settings.target_array_info
    flat = next((axis for axis, size in enumerate(source["shape"]) if size == 1), None)
    if flat is None:
        return [Plane(_patches(settings, raw, shape, source, target, overlap, blending), None)]
    cubes = all(len(set(info["scale"])) == 1 for info in (source, target))
    made: list[Plane] = []
    for axis in ([flat, *(axis for axis in range(3) if axis != flat)] if orthoplanes and cubes else [flat]):
        seen, given = (ArrayInfo(shape=_turned(info["shape"], flat, axis), scale=info["scale"]) for info in (source, target))
        made.append(Plane(_patches(settings, raw, shape, seen, given, overlap, blending), axis))
    return made


def _turned(shape: Voxels, flat: int, axis: int) -> Voxels:
    """The sides of a patch in their order, along the other axes than ``axis``."""
    sides = [size for number, size in enumerate(shape) if number != flat]
    sides.insert(axis, 1)
    return tuple(sides)


def _patches(settings: "Settings", raw: Raw, shape: Voxels, source: ArrayInfo, target: ArrayInfo, overlap: float,
             blending: str) -> Patches[Raw]:
    window = target["shape"]
    starts, origins, total, before = [], [], [], []
    for axis in range(3):
        ratio = Fraction(target["scale"][axis] / source["scale"][axis]).limit_denominator(MOST_UNITS)
        if not math.isclose(float(ratio), target["scale"][axis] / source["scale"][axis], rel_tol=1e-6):
            raise UserError(f"{settings.path}: target_array_info: its scale {list(target['scale'])} does not fit the input's, "
                            f"{list(source['scale'])}. Take a multiple of it, or a part")
        unit, size = ratio.denominator, window[axis]
        step = max(unit, int(size * (1 - overlap)) // unit * unit)
        length = max(shape[axis], size)
        length = size + math.ceil((length - size) / unit) * unit
        begin = starts_inside(length, size, step)
        margin = (source["shape"][axis] * source["scale"][axis] - size * target["scale"][axis]) / 2 / source["scale"][axis]
        lead = math.floor(margin + 0.5)
        spare = (length - shape[axis]) // unit
        pad = unit * _padding(spare, lambda n, r=ratio * unit, x=lead: -int(n * r) - x, source["shape"][axis],  # type: ignore[misc]
                              raw.first[axis], raw.image.shape[axis])
        starts.append(begin)
        origins.append(tuple(int((at - pad) * ratio) - lead for at in begin))
        total.append(length)
        before.append(pad)
    return Patches(raw, source["shape"], Box.of_shape(window), UNIT, blending, tuple(origins), tuple(starts),
                   window, tuple(total), Box.of_shape(shape, before))


def _padding(spare: int, origin: Callable[[int], int], size: int, first: int, there: int) -> int:
    """Of ``spare`` voxels that a window has too many, how many lie before the crop: half, or as many as keep most of the input,
    ``size`` voxels from ``origin``, within the ``there`` voxels of raw, of which the crop begins at ``first``."""
    def outside(number: int) -> tuple[int, int]:
        begin = first + origin(number)
        return max(0, -begin) + max(0, begin + size - there), abs(2 * number - spare)

    return min(range(spare + 1), key=outside)


def block_shape(made: Sequence[Plane], channels: int, room: int) -> Voxels:
    """The voxels of a block: as many steps of the patches as there is room for in ``room`` bytes of sums."""
    kept = made[0].patches.kept.shape
    steps = []
    for axis in range(3):
        several = [np.diff(plane.patches.starts[axis]) for plane in made if plane.flat != axis]
        largest = max((int(gaps.max()) for gaps in several if len(gaps)), default=kept[axis])
        steps.append(min(largest, kept[axis]))

    def shape(number: int) -> Voxels:
        return tuple(min(number * step, size) for step, size in zip(steps, kept, strict=True))

    number = 1
    while shape(number) != kept and 4 * (channels + 1) * math.prod(shape(number + 1)) <= room:
        number += 1
    return shape(number)
