"""The parts of training volumes that are kept for validation: where they lie in a sample.

To training it is as if the labels ended there: no output of a sample touches a part, labels and masks are 0 in it, and no loss is
taken there of what augmentation turns into an output, whatever a target makes of voxels that no mask counts::

    labels              1 1 1 1 2 2 2 2 | 2 2 3 3        | where the part begins
    labels of training  1 1 1 1 2 2 2 2 | 0 0 0 0
    COUNTED             1 1 1 1 1 1 1 1 | 0 0 0 0        of validation: 0 0 0 0 0 0 0 0 | 1 1 1 1

Raw is read there, too, as context.
"""

import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lsd_experiments import arrays
from lsd_experiments.arrays import Volume
from lsd_experiments.arrays.grids import show
from lsd_experiments.datasets import Dataset, ValidationPart
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box, Nanometres

TOLERANCE = 1e-3  # of a voxel


def kept_boxes(dataset: Dataset, labels: Volume) -> tuple[Box, ...]:
    """The parts that are kept of ``labels``, in its voxels: all of which anything lies in one."""
    boxes = []
    for part in dataset.validation:
        path = dataset.directory / part.volume
        if path.exists() and _stored(arrays.open_volume(path, dataset.labels)) == _stored(labels):
            begin, end = _voxels(labels, *region_of(dataset, part))
            outer = Box(tuple(math.floor(b + TOLERANCE) for b in begin), tuple(math.ceil(e - TOLERANCE) for e in end))
            boxes.append(outer.intersect(labels.box))
    return tuple(box for box in boxes if not box.empty)


def part_box(dataset: Dataset, part: ValidationPart, labels: Volume) -> Box:
    """``part`` in voxels of ``labels``: all that lie in it as a whole.

    :raises UserError: if there is none
    """
    begin, end = _voxels(labels, *region_of(dataset, part))
    inner = Box(tuple(math.ceil(b - TOLERANCE) for b in begin), tuple(math.floor(e + TOLERANCE) for e in end))
    inside = inner.intersect(labels.box)
    if inside.empty:
        raise UserError(f"[[validation]] of {dataset.name}: the part of {part.volume} holds no voxel of {labels.name}, which "
                        f"covers {show(labels.offset)} to {show(labels.end)} nm. Correct its offset and size in dataset.toml")
    return inside


def check_part(dataset: Dataset, part: ValidationPart) -> None:
    """:raises UserError: if the volume of a part is not there, or the part not in it: it would keep nothing"""
    part_box(dataset, part, arrays.open_volume(volume_of(dataset, part), dataset.labels))


def volume_of(dataset: Dataset, part: ValidationPart) -> Path:
    """The container of a part.

    :raises UserError: if it is not there
    """
    path = dataset.directory / part.volume
    if not path.exists():
        raise UserError(f"{path}: no such volume, of which dataset.toml keeps a part for validation. Fetch it, or correct it")
    return path


def region_of(dataset: Dataset, part: ValidationPart) -> tuple[Nanometres, Nanometres]:
    """Where in the world a part begins and ends, nm."""
    if part.offset is not None and part.size is not None:
        return part.offset, tuple(o + s for o, s in zip(part.offset, part.size, strict=True))
    whole = arrays.open_volume(volume_of(dataset, part), dataset.labels)
    return whole.offset, whole.end


def hide(values: NDArray[np.generic], box: Box, kept: Sequence[Box]) -> NDArray[np.generic]:
    """``values`` [z, y, x] of the voxels ``box``, with 0 in the boxes ``kept``."""
    for one in kept:
        inside = one.intersect(box)
        if not inside.empty:
            if not values.flags.writeable:
                values = values.copy()
            values[inside.shift([-b for b in box.begin]).slices] = 0
    return values


def _stored(volume: Volume) -> tuple[str, str]:
    """What tells one array from another, whichever crops it was opened by."""
    return os.path.realpath(volume.container), volume.dataset


def _voxels(labels: Volume, begin: Sequence[float], end: Sequence[float]) -> tuple[list[float], list[float]]:
    """Two places in the world in voxels of ``labels``, fractions of them too."""
    def voxels(place: Sequence[float]) -> list[float]:
        return [(p - o) / v for p, o, v in zip(place, labels.offset, labels.voxel_size, strict=True)]

    return voxels(begin), voxels(end)
