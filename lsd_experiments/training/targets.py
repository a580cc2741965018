"""What the heads are trained towards: LSDs, affinities, and the weights of their losses.

``Targets`` gives each variant's ``train.py`` the nodes that it adds up. GT_LSDS: [10, z, y, x] in [0, 1]. GT_AFFS: [c, z, y, x],
1 where a voxel and its neighbour carry the same non-zero label. A weight of 0 takes a voxel out of the loss.

With ``parity`` of the dataset, batches are those of the published nodes, of gunpowder and ``lsds``: boundaries are grown only
where the labels mask is asked for, in the output and, if affinities are masked, where their neighbours lie::

    descriptors see   |---------------------------------------------|     labels
    affinities                      |------------------|                  and the mask, of zebrafinch and hemi
    the output                       |-----------------|
    boundaries grow   |---------------------------------------------|     parity: |------------------|
"""

from dataclasses import dataclass, replace

import gunpowder as gp
import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays import as_mask
from lsd_experiments.datasets import Dataset
from lsd_experiments.descriptors import local_shape_descriptors
from lsd_experiments.descriptors.published import published_descriptors
from lsd_experiments.geometry import Box
from lsd_experiments.networks.network import Network
from lsd_experiments.training.keys import AFFS_MASK, LABELS, LABELS_MASK, UNLABELED, head_keys


@dataclass(frozen=True)
class Targets:
    """The target nodes of one variant, for its dataset and network."""

    dataset: Dataset
    network: Network

    def grow_boundary(self) -> gp.BatchFilter:
        """Take a voxel off each label where it touches another one or background."""
        return GrowBoundary(self.dataset.grow_boundary_in_xy, self.dataset.parity)

    def add_lsds(self, weight: str | None = None) -> gp.BatchFilter:
        """Local shape descriptors, and the weights of their loss, by the dataset's rule or another ``weight``."""
        return AddLsds(replace(self.dataset, lsd_weight=weight or self.dataset.lsd_weight))

    def add_affinities(self, masked: bool = False) -> gp.BatchFilter:
        """Affinities, and weights that balance 0 and 1; ``masked``: inside the labels mask, for any dataset."""
        channels = next(head.channels for head in self.network.heads if head.name == "affs")
        keys = head_keys("affs")
        masked = masked or self.dataset.affs_masked
        add = gp.AddAffinities(
            self.dataset.neighborhood(channels),
            labels=LABELS,
            affinities=keys.target,
            labels_mask=LABELS_MASK if masked or not self.dataset.parity else None,
            unlabelled=UNLABELED if self.dataset.unlabeled_mask else None,
            affinities_mask=AFFS_MASK,
        )
        balance = gp.BalanceLabels(keys.target, keys.weights, mask=AFFS_MASK if masked else None)
        return add + balance


class GrowBoundary(gp.BatchFilter):
    """Set to 0 each voxel of LABELS with a neighbour of another label; the mask's voxels count as the same label.

    What ``gunpowder.GrowBoundary`` does with one step, for all labels at once. ``parity``: only where the mask is asked for.
    """

    def __init__(self, only_xy: bool, parity: bool = False) -> None:
        self.axes = (1, 2) if only_xy else (0, 1, 2)
        self.parity = parity

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


class AddLsds(gp.BatchFilter):
    """Adds LSDs of LABELS, and the weights of their loss by the dataset's rule; see :class:`Dataset`."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.keys = head_keys("lsds")

    def setup(self) -> None:
        """Announce the descriptors and their weights."""
        spec = self.spec[LABELS].copy()
        spec.dtype = np.float32
        self.provides(self.keys.target, spec)
        self.provides(self.keys.weights, spec.copy())

    def prepare(self, request: gp.BatchRequest) -> gp.BatchRequest:
        """Ask for labels as far as the Gaussian window reaches, and further to multiples of the downsampling."""
        if self.dataset.parity:
            return self._published(request)
        unit, step = self.spec[LABELS].voxel_size, self.dataset.lsd_downsample
        asked = request[self.keys.target].roi
        reach = gp.Coordinate(_up(int(3 * self.dataset.sigma / size), step) for size in self.dataset.voxel_size)
        self.whole = gp.Coordinate(_up(size, step) for size in asked.shape / unit)
        deps = gp.BatchRequest()
        deps[LABELS] = gp.ArraySpec(roi=gp.Roi(asked.begin - reach * unit, (self.whole + reach * 2) * unit))
        deps[LABELS_MASK] = gp.ArraySpec(roi=asked)
        return deps

    def _published(self, request: gp.BatchRequest) -> gp.BatchRequest:
        """What the node of lsds asks for: descriptors count from the first voxel of these labels."""
        unit, asked = self.spec[LABELS].voxel_size, request[self.keys.target].roi
        reach = gp.Coordinate(int(3 * self.dataset.sigma / size) for size in self.dataset.voxel_size) * unit
        self.whole = asked.shape / unit
        deps = gp.BatchRequest()
        deps[LABELS] = gp.ArraySpec(roi=asked.grow(reach, reach).union(request[LABELS].roi if LABELS in request else asked))
        deps[LABELS_MASK] = gp.ArraySpec(roi=asked)
        return deps

    def process(self, batch: gp.Batch, request: gp.BatchRequest) -> gp.Batch:
        """Compute both arrays."""
        roi = request[self.keys.target].roi
        labels = batch[LABELS]
        begin = (roi.begin - labels.spec.roi.begin) / labels.spec.voxel_size
        inner = Box.of_shape(tuple(self.whole), tuple(begin))
        describe = published_descriptors if self.dataset.parity else local_shape_descriptors
        lsds = describe(labels.data, self.dataset.sigma, self.dataset.voxel_size, self.dataset.lsd_downsample, roi=inner)
        z, y, x = roi.shape / labels.spec.voxel_size
        lsds = lsds[:, :z, :y, :x]
        mask = as_mask(batch[LABELS_MASK].crop(roi).data)
        if self.dataset.lsd_weight != "labels_mask":
            foreground = labels.crop(roi).data > 0
            mask = foreground if self.dataset.lsd_weight == "foreground" else foreground | ~mask
        spec = self.spec[self.keys.target].copy()
        spec.roi = roi.copy()
        outputs = gp.Batch()
        outputs[self.keys.target] = gp.Array(lsds, spec)
        outputs[self.keys.weights] = gp.Array(np.broadcast_to(mask, lsds.shape).astype(np.float32), spec.copy())
        return outputs


def _up(number: int, step: int) -> int:
    """``number``, or the next multiple of ``step`` above it."""
    return -(-number // step) * step
