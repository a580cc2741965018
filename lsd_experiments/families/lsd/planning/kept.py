"""The part of the labels that is kept for validation: a slab at one end, so that no voxel of it lies among training's."""

from collections.abc import Iterator

import numpy as np

from lsd_experiments.arrays import Volume
from lsd_experiments.geometry import Box
from lsd_experiments.training.data import Sample

SHARE = 5  # of the labels' length: one in so many is kept
LABELLED = 1 / 2  # of what is labelled in all, the least that a part may be labelled
LOOKED_AT = 2**22  # voxels of a slab


def choose_part(sample: Sample, labelled: float) -> Box:
    """A fifth of the labels of ``sample``, in their voxels: at the end of their longest axis, if enough of it is labelled.

    ``labelled``: the share in all of them. Else its beginning, and the ends of the other axes; where none has half of what is
    labelled elsewhere, the one that has most.
    """
    slabs = list(_slabs(sample.labels))
    found = []
    for slab in slabs:
        share = _labelled(sample, slab)
        if share >= LABELLED * labelled:
            return slab
        found.append(share)
    return slabs[int(np.argmax(found))]


def training_part(labels: Volume, kept: Box) -> Box:
    """What of ``labels`` is left beside the slab ``kept``."""
    begin, end = list(labels.box.begin), list(labels.box.end)
    axis = next((axis for axis in range(3) if kept.shape[axis] < labels.shape[axis]), 2)
    if kept.begin[axis] > begin[axis]:
        end[axis] = kept.begin[axis]
    else:
        begin[axis] = kept.end[axis]
    return Box(tuple(begin), tuple(end))


def _slabs(labels: Volume) -> Iterator[Box]:
    """Candidates: ends of the longest axis first, of equal ones the last."""
    for axis in sorted(range(3), key=lambda axis: (-labels.shape[axis], -axis)):
        thick = labels.shape[axis] // SHARE
        if thick:
            for begin in (labels.shape[axis] - thick, 0):
                starts, ends = [0, 0, 0], list(labels.shape)
                starts[axis], ends[axis] = begin, begin + thick
                yield Box(tuple(starts), tuple(ends))


def _labelled(sample: Sample, slab: Box) -> float:
    """The share of ``slab``, or of a block in its middle, that is labelled and counts."""
    side = round(LOOKED_AT ** (1 / 3))
    shape = tuple(min(side, size) for size in slab.shape)
    box = Box.of_shape(shape, [b + (n - s) // 2 for b, n, s in zip(slab.begin, slab.shape, shape, strict=True)])
    labels = sample.labels.read(box) != 0
    for mask in sample.masks:
        labels &= mask.read(box) != 0
    return float(labels.mean())
