"""Which axis of a stored array is which, and the array as [z, y, x] or [c, z, y, x] without reading it.

Axes are letters in the order of the stored array: z, y, x; c for channels; t for time; any other name is taken as channels.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lsd_experiments.errors import UserError

SPACE = ("z", "y", "x")
SYNONYMS = {"time": "t", "channel": "c", "channels": "c"}
MOST_CHANNELS = 32  # of volumes of this field
NAMED = ('Name its axes, in the order of this shape, with the attribute "axis_names": ["z", "y", "x", "c^"] if the channels '
         'are last, ["c^", "z", "y", "x"] if they are first')


class Transposed:
    """``array`` with its axes in another ``order``; slices of it read only the chunks that they touch."""

    def __init__(self, array: Any, order: Sequence[int]) -> None:
        self.source, self.order = array, tuple(order)
        self.shape = tuple(array.shape[axis] for axis in self.order)
        self.dtype = array.dtype
        chunks = getattr(array, "chunks", None)
        self.chunks = tuple(chunks[axis] for axis in self.order) if chunks else None

    read_only = True

    def __getitem__(self, index: tuple[Any, ...]) -> Any:
        asked = dict(zip(self.order, index, strict=True))
        values = np.asarray(self.source[tuple(asked[axis] for axis in range(len(self.order)))])
        left = [axis for axis in range(len(self.order)) if isinstance(asked[axis], slice)]
        return values.transpose([left.index(axis) for axis in self.order if axis in left])


def clean(names: Any) -> list[str] | None:
    """Axis names as letters, or None if they do not say where z, y and x are."""
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        return None
    cleaned = [name.strip().lower().rstrip("^") for name in names]
    cleaned = [SYNONYMS.get(name, name) for name in cleaned]
    return cleaned if all(cleaned.count(axis) == 1 for axis in SPACE) else None


def arrange(array: Any, names: list[str], where: str, keep: bool = False) -> tuple[Any, bool]:
    """``array`` with z, y, x last, and whether the axis before them is channels; axes of length 1 go to the front.

    :param names: of :func:`clean`.
    :param keep: a channel axis of length 1 is one.
    :raises UserError: if another axis than those is longer than 1, or names and shape do not agree.
    """
    shape = array.shape
    if len(names) != len(shape):
        raise UserError(f"{where}: {len(names)} axes ({', '.join(names)}) for the shape {tuple(shape)}")
    others = [axis for axis, name in enumerate(names) if name not in SPACE]
    for axis in others:
        if names[axis] == "t" and shape[axis] != 1:
            raise UserError(f"{where}: axis t has the length {shape[axis]}, only z, y, x and c may have more than 1")
    channels = [axis for axis in others if names[axis] != "t" and (shape[axis] > 1 or (keep and names[axis] == "c"))]
    if len(channels) > 1:
        raise UserError(f"{where} has the axes {', '.join(names)} of shape {tuple(shape)}; only one axis of channels is read")
    order = [*(axis for axis in others if axis not in channels), *channels, *(names.index(axis) for axis in SPACE)]
    return (array if order == sorted(order) else Transposed(array, order)), bool(channels)


def guess_channels(shape: tuple[int, ...], where: str, keep: bool, ours: bool) -> bool:
    """Whether an array of ``shape``, whose axes are not named, has channels; a single one is none, unless ``keep``.

    :raises UserError: if it is no volume, or its last axis looks like channels, and it is not one of ``ours``.
    """
    has_channels = len(shape) > 3 and (shape[-4] > 1 or keep)
    if len(shape) < 3 or any(s != 1 for s in shape[:len(shape) - 3 - has_channels]):
        raise UserError(f"{where} has the shape {tuple(shape)}; volumes are (z, y, x) or (c, z, y, x). Name another "
                        "dataset")
    if len(shape) > 3 and not ours and _is_channels_last(shape[-4:]):
        raise UserError(f"{where} has the shape {tuple(shape)}, which looks like channels last; volumes are (c, z, y, x). "
                        f"{NAMED}")
    return has_channels


def _is_channels_last(shape: tuple[int, ...]) -> bool:
    """Whether the last axis is shorter than all others, or than more channels than there are, or of a few voxels beside many."""
    first, *middle, last = shape
    return (last < first and (last < min(middle) or first > MOST_CHANNELS)) or (last <= 4 and 4 * last <= min(middle))


def spatial(values: Any, names: list[str] | None) -> Any:
    """The entries of the list ``values`` for z, y, x: one for each axis of ``names``, or for each of z, y, x among them."""
    if names is None or not isinstance(values, list):
        return values
    if len(values) == len(names):
        return [values[names.index(axis)] for axis in SPACE]
    present = [name for name in names if name in SPACE]
    return [values[present.index(axis)] for axis in SPACE] if len(values) == len(present) else values
