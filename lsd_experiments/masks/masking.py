"""Masks of labels in memory."""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays.labels import as_mask


def labels_mask(labels: NDArray[np.integer], excluded: Collection[int] = ()) -> NDArray[np.uint8]:
    """1 where ``labels`` has none of the ids ``excluded``, else 0.

    :param labels: of any shape and integer type
    :param excluded: -2^63 to 2^64 - 1; a negative id, or label, is what its bits are as uint64 (-3 is 2^64 - 3)
    """
    if not excluded:
        return np.ones(labels.shape, np.uint8)
    return (~has_id(labels, excluded)).view(np.uint8)


def has_id(labels: NDArray[np.integer], ids: Collection[int]) -> NDArray[np.bool_]:
    """Where ``labels`` has one of ``ids``; both as for :func:`labels_mask`."""
    unsigned = labels.astype(np.uint64) if labels.dtype.kind == "i" else labels
    there = [number for number in map(as_unsigned, ids) if number <= np.iinfo(unsigned.dtype).max]
    return np.asarray(np.isin(unsigned, np.array(there, unsigned.dtype)))


def as_unsigned(number: int) -> int:
    """The id whose bits are those of ``number``: -1 is 2^64 - 1."""
    return int(number) % 2**64


def unlabeled_mask(
    labels: NDArray[np.integer],
    excluded: Collection[int] = (),
    include_zero: bool = False,
    mask: NDArray[np.generic] | None = None,
) -> NDArray[np.uint8]:
    """1 where a voxel is labelled, 0 where it is not: despite its name, which is the field's.

    A voxel is labelled if its id is none of ``excluded`` (nor 0, unless ``include_zero``), and ``mask``, the labels mask,
    is not 0 there.

    :param labels: as for :func:`labels_mask`; ``mask`` has its shape.
    """
    labelled = labels_mask(labels, {*excluded} if include_zero else {*excluded, 0})
    if mask is not None:
        labelled &= as_mask(mask)
    return labelled
