"""Boundaries that are grown: a voxel is taken off each label where it touches another one or background.

With ``parity``, only where the labels mask is asked for: in the output and where neighbours of masked affinities lie::

    descriptors see   |---------------------------------------------|     labels
    affinities                      |------------------|                  and the mask, of zebrafinch and hemi
    the output                       |-----------------|
    boundaries grow   |---------------------------------------------|     parity: |------------------|
"""

import gunpowder as gp
import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays import as_mask
from lsd_experiments.training.keys import LABELS, LABELS_MASK


class GrowBoundary(gp.BatchFilter):
    """Set to 0 each voxel of LABELS with a neighbour of another label along ``axes``; the mask's voxels count as the same label.

    What ``gunpowder.GrowBoundary`` does with one step, for all labels at once. ``parity``: only where the mask is asked for.
    """

    def __init__(self, axes: tuple[int, ...], parity: bool = False) -> None:
        self.axes, self.parity = axes, parity

    def prepare(self, request: gp.BatchRequest) -> gp.BatchRequest | None:
        """Ask for the mask wherever labels are asked for."""
        if self.parity:
            return None
        deps = gp.BatchRequest()
        deps[LABELS] = request[LABELS].copy()
        deps[LABELS_MASK] = request[LABELS].copy()
        return deps

    def process(self, batch: gp.Batch, request: gp.BatchRequest) -> None:
        """Grow the boundary in place."""
        if self.parity:
            self._grow_within_mask(batch[LABELS], batch[LABELS_MASK])
            return
        labels, mask = batch[LABELS], batch[LABELS_MASK].crop(batch[LABELS].spec.roi)
        labels.data = grow_boundary(labels.data, mask.data, self.axes)

    def _grow_within_mask(self, labels: gp.Array, mask: gp.Array) -> None:
        """As published: labels that the mask does not reach are left alone, and count as the same label."""
        here = labels.spec.roi.intersect(mask.spec.roi)
        inside = ((here - labels.spec.roi.begin) / labels.spec.voxel_size).to_slices()
        labels.data[inside] = published_boundary(labels.data[inside], mask.crop(here).data, self.axes)


def grow_boundary(labels: NDArray[np.uint64], mask: NDArray[np.uint8], axes: tuple[int, ...]) -> NDArray[np.uint64]:
    """``labels`` [z, y, x] with 0 at each voxel whose neighbour along one of ``axes`` has another label.

    Neighbours outside of the array, and those where ``mask`` is 0, count as the same label; where ``mask`` is 0 nothing changes.
    """
    keep = np.ones(labels.shape, bool)
    inside = as_mask(mask)
    for axis in axes:
        front, back = [slice(None)] * 3, [slice(None)] * 3
        front[axis], back[axis] = slice(None, -1), slice(1, None)
        a, b = tuple(front), tuple(back)
        same = (labels[a] == labels[b]) | ~inside[a] | ~inside[b]
        keep[a] &= same
        keep[b] &= same
    return np.where(keep, labels, 0)


def published_boundary(labels: NDArray[np.uint64], mask: NDArray[np.uint8], axes: tuple[int, ...]) -> NDArray[np.uint64]:
    """As :func:`grow_boundary`, but where ``mask`` is 0 as gunpowder has it: 0 if two labels touch, or background."""
    inside = mask > 0
    least = np.where(inside, labels, np.iinfo(labels.dtype).max)  # of the voxel and its neighbours, if any is inside
    most = np.where(inside, labels, 0)
    lowest, highest = least.copy(), most.copy()
    for axis in axes:
        front, back = [slice(None)] * 3, [slice(None)] * 3
        front[axis], back[axis] = slice(None, -1), slice(1, None)
        for a, b in ((tuple(front), tuple(back)), (tuple(back), tuple(front))):
            lowest[a] = np.minimum(lowest[a], least[b])
            highest[a] = np.maximum(highest[a], most[b])
    keep = (lowest > highest) | ((lowest == highest) & (highest > 0))
    return np.where(keep, labels, 0)
