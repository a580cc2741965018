"""Elastic augmentation as a gunpowder node."""

import math
import random
from collections.abc import Sequence

import augment
import gunpowder as gp
import numpy as np

from lsd_experiments.augmentation.warp import Floats, source_box, warp
from lsd_experiments.geometry import Box


class ElasticAugment(gp.BatchFilter):
    """Displace a grid of control points at random, rotate about z, and misalign sections; all arrays alike.

    What ``gunpowder.ElasticAugment`` does with the same parameters and random numbers: ``control_point_spacing`` and
    ``jitter_sigma`` (z, y, x) in voxels, ``prob_slip`` of a section to be displaced alone, ``prob_shift`` to be displaced with
    all that follow, by up to ``max_misalign`` voxels in y and x.
    """

    def __init__(
        self,
        control_point_spacing: Sequence[int],
        jitter_sigma: Sequence[float],
        rotation_interval: tuple[float, float] = (0.0, math.pi / 2),
        prob_slip: float = 0.0,
        prob_shift: float = 0.0,
        max_misalign: int = 0,
        subsample: int = 8,
    ) -> None:
        self.control_point_spacing, self.jitter_sigma = control_point_spacing, jitter_sigma
        self.rotation_interval, self.subsample = rotation_interval, subsample
        self.prob_slip, self.prob_shift, self.max_misalign = prob_slip, prob_shift, max_misalign

    def setup(self) -> None:
        """Compile, or load, what runs compiled, so that workers that are forked after this need not."""
        box = Box((0, 0, 0), (2, 2, 2))
        still, unmoved = np.zeros((3, 2, 2, 2), np.float32), np.zeros((2, 2), np.float32)
        for spec in (spec for spec in self.spec.array_specs.values() if spec.dtype is not None):
            zeros, smooth = np.zeros((2, 2, 2), spec.dtype), bool(spec.interpolatable)
            warp(zeros, (0, 0, 0), still, unmoved, (2, 2, 2), box, interpolate=smooth)

    def prepare(self, request: gp.BatchRequest) -> gp.BatchRequest:
        """Draw a transformation of all that is asked for, and ask for where it comes from."""
        self.unit = next(self.spec[key].voxel_size for key in request.array_specs)
        total = request.get_total_roi().snap_to_grid(self.unit, mode="grow") / self.unit
        self.shape = tuple(int(size) for size in total.shape)
        self.coarse = self._draw_transformation()
        self.shifts = self._draw_shifts()
        self.places: dict[gp.ArrayKey, tuple[Box, Box]] = {}
        deps = gp.BatchRequest()
        for key, spec in request.array_specs.items():
            roi = spec.roi / self.unit - total.begin
            region = Box(tuple(roi.begin), tuple(roi.end))
            source = source_box(self.coarse, self.shifts, self.shape, region)
            self.places[key] = region, source
            deps[key] = gp.ArraySpec(roi=(gp.Roi(source.begin, source.shape) + total.begin) * self.unit)
        return deps

    def process(self, batch: gp.Batch, request: gp.BatchRequest) -> None:
        """Read each array where the transformation points to."""
        for key, array in batch.arrays.items():
            region, source = self.places[key]
            array.data = warp(
                array.data,
                source.begin,
                self.coarse,
                self.shifts,
                self.shape,
                region,
                interpolate=bool(self.spec[key].interpolatable),
            )
            array.spec.roi = request[key].roi

    def _draw_transformation(self) -> Floats:
        """A random transformation of all voxels, sampled every ``subsample`` of them: [3, z, y, x]."""
        random.random()  # gunpowder draws whether to augment at all, which the published pipeline always does,
        random.random()  # and a scale, which it leaves at 1
        transformation = augment.create_identity_transformation(self.shape, subsample=self.subsample)
        if any(self.jitter_sigma):
            transformation += augment.create_elastic_transformation(
                self.shape, self.control_point_spacing, self.jitter_sigma, subsample=self.subsample
            )
        start, stop = self.rotation_interval
        rotation = start + random.random() * (stop - start)
        if rotation != 0:
            transformation += augment.create_rotation_transformation(self.shape, rotation, subsample=self.subsample)
        return np.asarray(transformation, np.float32)

    def _draw_shifts(self) -> Floats:
        """The displacement of each section in y and x, in voxels: of some alone, of others with all that follow; [z, 2]."""
        shifts = np.zeros((self.shape[0], 2), np.float32)
        if self.prob_slip + self.prob_shift == 0:
            return shifts
        for section in range(self.shape[0]):
            kind = random.random()
            if kind <= self.prob_slip:
                shifts[section] = self._draw_offset()
            elif kind <= self.prob_slip + self.prob_shift:
                shifts[section:] += self._draw_offset()
        return shifts

    def _draw_offset(self) -> list[int]:
        return [self.max_misalign - random.randint(0, 2 * self.max_misalign) for _ in range(2)]
