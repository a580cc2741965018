"""Elastic augmentation as a gunpowder node."""

import random

import augment
import gunpowder as gp
import numpy as np

from lsd_experiments.augmentation.warp import Floats, source_box, warp
from lsd_experiments.datasets import Elastic
from lsd_experiments.geometry import Box


class ElasticAugment(gp.BatchFilter):
    """Displace a grid of control points at random, rotate about z, and misalign sections; all arrays alike.

    What ``gunpowder.ElasticAugment`` does with the same parameters and random numbers.
    """

    def __init__(self, elastic: Elastic) -> None:
        self.elastic = elastic

    def prepare(self, request: gp.BatchRequest) -> gp.BatchRequest:
        """Draw a transformation of all that is asked for, and ask for where it comes from."""
        self.unit = next(self.spec[key].voxel_size for key in request.array_specs)
        total = request.get_total_roi().snap_to_grid(self.unit, mode="grow") / self.unit
        self.shape = tuple(int(size) for size in total.shape)
        self.coarse = _draw_transformation(self.elastic, self.shape)
        self.shifts = _draw_shifts(self.elastic, self.shape[0])
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


def _draw_transformation(elastic: Elastic, shape: tuple[int, ...]) -> Floats:
    """A random transformation of ``shape`` voxels, sampled every ``subsample`` of them: [3, z, y, x]."""
    random.random()  # gunpowder draws whether to augment at all, which the published pipeline always does,
    random.random()  # and a scale, which it leaves at 1
    transformation = augment.create_identity_transformation(shape, subsample=elastic.subsample)
    if any(elastic.jitter_sigma):
        transformation += augment.create_elastic_transformation(
            shape, elastic.control_point_spacing, elastic.jitter_sigma, subsample=elastic.subsample
        )
    start, stop = elastic.rotation_interval
    rotation = start + random.random() * (stop - start)
    if rotation != 0:
        transformation += augment.create_rotation_transformation(shape, rotation, subsample=elastic.subsample)
    return np.asarray(transformation, np.float32)


def _draw_shifts(elastic: Elastic, num_sections: int) -> Floats:
    """The displacement of each section in y and x, in voxels: of some alone, of others with all that follow; [z, 2]."""
    shifts = np.zeros((num_sections, 2), np.float32)
    if elastic.prob_slip + elastic.prob_shift == 0:
        return shifts
    for section in range(num_sections):
        kind = random.random()
        if kind <= elastic.prob_slip:
            shifts[section] = _draw_offset(elastic)
        elif kind <= elastic.prob_slip + elastic.prob_shift:
            shifts[section:] += _draw_offset(elastic)
    return shifts


def _draw_offset(elastic: Elastic) -> list[int]:
    return [elastic.max_misalign - random.randint(0, 2 * elastic.max_misalign) for _ in range(2)]
