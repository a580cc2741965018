"""The gunpowder node that makes local shape descriptors."""

from collections.abc import Sequence

import gunpowder as gp
import numpy as np

from lsd_experiments.arrays import as_mask
from lsd_experiments.descriptors import local_shape_descriptors
from lsd_experiments.descriptors.published import published_descriptors
from lsd_experiments.geometry import Box
from lsd_experiments.targets.lsds import LocalShapeDescriptors
from lsd_experiments.training.keys import LABELS, LABELS_MASK, head_keys


class AddLsds(gp.BatchFilter):
    """Adds LSDs of LABELS, and the weights of their loss by the target's rule; ``voxel_size`` in nm.

    ``parity``: just as the node of ``lsds`` does, in which descriptors depend on which labels are asked for.
    """

    def __init__(self, lsds: LocalShapeDescriptors, voxel_size: Sequence[float], parity: bool) -> None:
        self.lsds, self.voxel_size, self.parity = lsds, tuple(voxel_size), parity
        self.keys = head_keys(lsds.name)

    def setup(self) -> None:
        """Announce the descriptors and their weights."""
        spec = self.spec[LABELS].copy()
        spec.dtype = np.float32
        self.provides(self.keys.target, spec)
        self.provides(self.keys.weights, spec.copy())
        # Compile, or load, what runs compiled, so that workers that are forked after this need not.
        local_shape_descriptors(np.ones((4, 4, 4), np.uint64), self.lsds.sigma, self.voxel_size, self.lsds.downsample)

    def prepare(self, request: gp.BatchRequest) -> gp.BatchRequest:
        """Ask for labels as far as the Gaussian window reaches, and further to multiples of the downsampling."""
        if self.parity:
            return self._published(request)
        unit, step = self.spec[LABELS].voxel_size, self.lsds.downsample
        asked = request[self.keys.target].roi
        reach = gp.Coordinate(_up(int(3 * self.lsds.sigma / size), step) for size in self.voxel_size)
        self.whole = gp.Coordinate(_up(size, step) for size in asked.shape / unit)
        deps = gp.BatchRequest()
        deps[LABELS] = gp.ArraySpec(roi=gp.Roi(asked.begin - reach * unit, (self.whole + reach * 2) * unit))
        deps[LABELS_MASK] = gp.ArraySpec(roi=asked)
        return deps

    def _published(self, request: gp.BatchRequest) -> gp.BatchRequest:
        """What the node of lsds asks for: descriptors count from the first voxel of these labels."""
        unit, asked = self.spec[LABELS].voxel_size, request[self.keys.target].roi
        reach = gp.Coordinate(int(3 * self.lsds.sigma / size) for size in self.voxel_size) * unit
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
        describe = published_descriptors if self.parity else local_shape_descriptors
        values = describe(labels.data, self.lsds.sigma, self.voxel_size, self.lsds.downsample, roi=inner)
        z, y, x = roi.shape / labels.spec.voxel_size
        values = values[:, :z, :y, :x]
        mask = as_mask(batch[LABELS_MASK].crop(roi).data)
        if self.lsds.counted != "labels_mask":
            foreground = labels.crop(roi).data > 0
            mask = foreground if self.lsds.counted == "foreground" else foreground | ~mask
        spec = self.spec[self.keys.target].copy()
        spec.roi = roi.copy()
        outputs = gp.Batch()
        outputs[self.keys.target] = gp.Array(values, spec)
        outputs[self.keys.weights] = gp.Array(np.broadcast_to(mask, values.shape).astype(np.float32), spec.copy())
        return outputs


def _up(number: int, step: int) -> int:
    """``number``, or the next multiple of ``step`` above it."""
    return -(-number // step) * step
