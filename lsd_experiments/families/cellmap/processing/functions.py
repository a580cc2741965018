"""What is done to one block of a prediction: arrays in, arrays out.

A prediction is [z, y, x], or [k, z, y, x] of several channels: uint8 0 to 255, probabilities in [0, 1], or logits.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.errors import UserError


def above(values: NDArray[Any], threshold: float, is_logits: bool) -> NDArray[np.uint8]:
    """1 where the probability is above ``threshold``, else 0; NaN is not."""
    if values.dtype == np.uint8:
        limit: float = 255 * threshold
    elif is_logits:
        limit = math.log(threshold / (1 - threshold)) if 0 < threshold < 1 else math.inf * (threshold - 0.5)
    else:
        limit = threshold
    return (values > limit).astype(np.uint8)


def as_bytes(values: NDArray[Any], is_logits: bool) -> NDArray[np.uint8]:
    """Probabilities as 0 to 255."""
    if values.dtype == np.uint8:
        return values
    values = np.nan_to_num(values.astype(np.float32))
    if is_logits:
        values = 1 / (1 + np.exp(-np.clip(values, -80, 80)))
    found: NDArray[np.uint8] = np.rint(255 * np.clip(values, 0, 1)).astype(np.uint8)
    return found


def affinities_of(probabilities: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """[3, z, y, x] of [z, y, x]: that a voxel and the one before it along z, y, x are of one object is as likely as the less
    likely of them being of any. Of the first ones of the array, their own.
    """
    found = np.empty((3, *probabilities.shape), np.uint8)
    for axis in range(3):
        along, into = np.moveaxis(probabilities, axis, 0), np.moveaxis(found[axis], axis, 0)
        into[0] = along[0]
        np.minimum(along[1:], along[:-1], out=into[1:])
    return found


def call(function: Callable[[Any], Any], values: NDArray[Any], flat: int | None, batch_size: int) -> NDArray[Any]:
    """What the user's ``function`` makes of ``values``, [z, y, x] of bool or whole numbers, which may be floats.

    :param flat: the axis along which it sees single sections, ``batch_size`` at a time; None: it sees all at once
    :raises UserError: if it fails, or gives something else
    """
    if values.dtype == np.uint8:
        values = values.astype(np.float32) / 255
    channels = values if values.ndim == 4 else values[None]
    if flat is None:
        return np.asarray(_called(function, channels[None], channels.shape[1:])[0])
    sections = np.moveaxis(channels, flat + 1, 0)  # [n, c, two axes]
    parts = [_called(function, sections[at:at + batch_size], sections.shape[2:]) for at in range(0, len(sections), batch_size)]
    return np.moveaxis(np.concatenate(parts), 0, flat)


def _called(function: Callable[[Any], Any], batch: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    import torch

    try:
        with torch.no_grad():
            found = function(torch.from_numpy(np.array(batch, np.float32)))
        result = found.detach().cpu().numpy() if isinstance(found, torch.Tensor) else np.asarray(found)
    except Exception as error:  # whatever the user's code ends in
        said = (str(error).strip().splitlines() or [""])[-1]
        raise UserError(f"process_func ends in {type(error).__name__} ({said}) for an input of shape {batch.shape}. Correct "
                        "it") from error
    if result.size != len(batch) * math.prod(shape):
        raise UserError(f"process_func gives the shape {result.shape} for an input of shape {batch.shape}. Give one number for "
                        "each voxel")
    result = result.reshape(len(batch), *shape)
    if result.dtype.kind == "f" and not (whole := np.isfinite(result) & (result % 1 == 0)).all():
        raise UserError(f"process_func gives {result[~whole][0]:g}. Give a mask, like x > 0.5, or ids of objects, which are "
                        "whole numbers")
    if result.dtype.kind not in "buif" or result.min(initial=0) < 0:
        raise UserError(f"process_func gives {result.dtype} with the value {result.min()}. Give a mask, or ids from 0 on")
    return result


def parts_of(ids: NDArray[Any]) -> NDArray[np.uint32]:
    """The connected parts (6 neighbours) of each id [z, y, x], numbered; 0 stays."""
    import cc3d
    import fastremap

    compact, _ = fastremap.renumber(np.ascontiguousarray(ids if ids.dtype.kind in "ui" else ids.astype(np.int64)), in_place=False)
    return np.asarray(cc3d.connected_components(compact, connectivity=6), np.uint32)


def meeting(planes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """[n, 2] the parts of two neighbouring blocks that are one object: of the face of one of them, more than half touches the
    other.

    :param planes: [2, rows, columns], of which the first row and column are of other blocks
    """
    before, after = (plane[1:, 1:].ravel() for plane in planes)
    both = (before > 0) & (after > 0)
    pairs, contact = np.unique(np.stack([before[both], after[both]], 1), axis=0, return_counts=True)
    if not len(pairs):
        return np.zeros((0, 2), np.uint64)
    areas = []
    for number, plane in enumerate((before, after)):
        ids, counts = np.unique(plane, return_counts=True)
        areas.append(counts[np.searchsorted(ids, pairs[:, number])])
    found: NDArray[np.uint64] = pairs[2 * contact > np.minimum(*areas)]
    return found
