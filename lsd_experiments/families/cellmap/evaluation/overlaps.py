"""Which objects of a prediction and of the truth overlap, and how much: a sparse table, whatever their number.

Objects have ids 1 to n: those of the prediction are connected components of equal ids (26 neighbours), as the challenge
counts them; those of the truth are its ids.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.evaluation.counting import contingency


@dataclass(frozen=True)
class Objects:
    """``labels``: [z, y, x] uint32, 0 is background; ``ids``: [n] those of the objects, ascending; ``sizes``: [n] in voxels."""

    labels: NDArray[np.uint32]
    ids: NDArray[np.int64]
    sizes: NDArray[np.int64]

    @property
    def highest(self) -> int:
        """The highest id."""
        return int(self.ids[-1]) if len(self.ids) else 0


@dataclass(frozen=True)
class Overlaps:
    """[m] pairs that share a voxel, sorted: the indices of their truth and prediction in ``ids``, and their IoU."""

    truths: NDArray[np.int64]
    predictions: NDArray[np.int64]
    ious: NDArray[np.float64]


def components(values: NDArray[Any]) -> Objects:
    """The connected components of equal values that are not 0; touching ones of different values are two."""
    import cc3d

    if values.dtype.kind == "f":  # ids all the same; cc3d takes no halves
        found, inverse = np.unique(np.nan_to_num(values), return_inverse=True)
        values = _numbers(found)[inverse].reshape(values.shape)
    values = np.ascontiguousarray(values.view(np.uint8) if values.dtype == bool else values)
    labels = cc3d.connected_components(values).astype(np.uint32, copy=False)
    return Objects(labels, *_counted(labels))


def objects(values: NDArray[Any]) -> Objects:
    """The ids of the truth as they are; negative ones, and those beyond 2^31, are numbered anew."""
    values = np.asarray(values)
    if values.dtype == bool:
        values = values.view(np.uint8)
    if values.size and (values.max() >= 2**31 or values.min() < 0):
        found, inverse = np.unique(values, return_inverse=True)
        values = _numbers(found)[inverse].reshape(values.shape)
    labels = values.astype(np.uint32)
    return Objects(labels, *_counted(labels))


def _numbers(found: NDArray[Any]) -> NDArray[np.uint32]:
    """1 and up for the values ``found``, 0 for 0."""
    return np.asarray(np.where(found == 0, 0, np.arange(1, len(found) + 1)), np.uint32)


def _counted(labels: NDArray[np.uint32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    import fastremap

    ids, sizes = fastremap.unique(labels, return_counts=True)
    return ids[ids > 0].astype(np.int64), sizes[ids > 0].astype(np.int64)


def overlaps(truth: Objects, prediction: Objects) -> Overlaps:
    """The pairs of objects that share a voxel."""
    table = contingency(prediction.labels, truth.labels)
    kept = table.segments > 0
    truths = np.searchsorted(truth.ids, table.labels[kept].astype(np.int64))
    predictions = np.searchsorted(prediction.ids, table.segments[kept].astype(np.int64))
    shared = table.counts[kept]
    ious = shared / (truth.sizes[truths] + prediction.sizes[predictions] - shared)
    order = np.lexsort((predictions, truths))
    return Overlaps(truths[order], predictions[order], ious[order])
