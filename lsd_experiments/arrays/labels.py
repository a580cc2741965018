"""Ids of labels and segmentations, and masks: what is taken, and what is refused, wherever they are read.

- An id is an integer that is not negative, exact up to 2^64 - 1; 0 is background. Types are uint8 to uint64 and int8 to int64.
  -1 of int64, a common mark of "nobody knows", is no id: taken as one it is background for affinities and an object for
  descriptors. Where a mask says that it does not count, it is 0; anywhere else it is an error that names the option to mask it.
- 2^64 - 1 of uint64 (the same bits; CREMI's background) is an id like any other, unless it is excluded, too.
- A mask is of any type, and counts where it is not 0: 1, 255, 256 of uint16, -1 of int64 and 0.5 alike. NaN is an error.
"""

import math
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays.advice import convert_command, exclude_command
from lsd_experiments.arrays.grids import show_place
from lsd_experiments.arrays.values import SEARCHED
from lsd_experiments.arrays.volume import Volume
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box

Command = Callable[[Volume, Collection[int]], str]  # what takes negative ids out, as messages print it
SLAB = 2**24  # voxels looked at together


def check_labels(volume: Volume) -> None:
    """:raises UserError: if ``volume`` cannot be labels or a segmentation: they are integers, without channels."""
    if volume.channels is not None:
        raise UserError(f"{volume.name} has {volume.channels} channels; labels are [z, y, x]. Name another dataset, or take one "
                        f"channel: {convert_command(volume, '--channel', '0')}")
    if volume.dtype.kind not in "ui":
        raise UserError(f"{volume.name} is of type {volume.dtype}; labels are integers (uint64). Name another dataset, or "
                        f"convert it: {convert_command(volume, '--dtype', 'uint64')}")


def read_ids(volume: Volume, box: Box | None = None, masks: Sequence[Volume] = (), command: Command = exclude_command,
             ) -> NDArray[Any]:
    """The ids of ``box`` [z, y, x], in the volume's type; negative ones where a mask is 0 are 0.

    :param box: as of :meth:`Volume.read`
    :param masks: of the same voxels as ``volume``; read only where there are negative ids
    :param command: of what the message names
    :raises UserError: if there is any other negative id
    """
    box = volume.box if box is None else box

    def hidden() -> NDArray[np.bool_]:
        return np.logical_or.reduce([~read_mask(mask, box) for mask in masks]) if masks else np.zeros(box.shape, bool)

    return hide_negative(volume.read(box), hidden, volume, box, command)


def hide_negative(ids: NDArray[Any], hidden: Callable[[], NDArray[np.bool_]], volume: Volume, box: Box,
                  command: Command = exclude_command) -> NDArray[Any]:
    """``ids`` [z, y, x], those of ``box``, with 0 in place of negative ones where ``hidden()``.

    :raises UserError: if there is another negative id; volume, ids and place are named.
    """
    if ids.dtype.kind != "i" or not ids.size or ids.min() >= 0:
        return ids
    negative = ids < 0
    wrong = negative & ~hidden()
    if wrong.any():
        found = sorted(map(int, np.unique(ids[wrong])))
        first = tuple(int(i) for i in np.argwhere(wrong)[0])
        place = show_place(volume, [b + i for b, i in zip(box.begin, first, strict=True)])
        raise UserError(f"{volume.name}: holds the id {ids[first]} {place}; ids are not negative. If it is no object, "
                        f"exclude it: {command(volume, found)}")
    return np.where(negative, ids.dtype.type(0), ids)


def check_ids(volume: Volume, masks: Sequence[Volume] = (), command: Command = exclude_command) -> None:
    """Look for negative ids now, where that is quick: of signed types, up to :data:`SEARCHED` voxels.

    Larger volumes are checked as they are read. Arguments and errors as of :func:`read_ids`.
    """
    if volume.dtype.kind != "i" or math.prod(volume.shape) > SEARCHED:
        return
    chunks = volume.chunks or (1, *volume.shape[1:])
    depth = chunks[0] * max(1, SLAB // max(1, chunks[0] * math.prod(volume.shape[1:])))
    for slab in volume.box.blocks((depth, *volume.shape[1:])):
        read_ids(volume, slab.intersect(volume.box), masks, command)


def as_mask(values: NDArray[Any], name: str = "the mask") -> NDArray[np.bool_]:
    """Where a mask of any type counts: where it is not 0.

    :raises UserError: if it holds what is not a number; ``name`` is what the message calls it.
    """
    counts: NDArray[np.bool_] = values if values.dtype == bool else np.not_equal(values, 0)
    if values.dtype.kind in "fc" and np.isnan(values).any():
        place = tuple(int(i) for i in np.argwhere(np.isnan(values))[0])
        raise UserError(f"{name}: the value at {place} of shape {values.shape} is not a number. A mask is 0 where nothing "
                        "counts: replace it")
    return counts


def read_mask(volume: Volume, box: Box | None = None) -> NDArray[np.bool_]:
    """Where the mask ``volume`` counts in ``box``, [z, y, x]; outside of it nothing does. Errors as of :func:`as_mask`."""
    return as_mask(volume.read(box), volume.name)
