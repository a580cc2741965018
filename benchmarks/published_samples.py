"""The published training pipeline of zebrafinch's MTLSD network in gunpowder's and lsds' own nodes; see samples.py."""

import math

import gunpowder as gp
from lsd.train.gp import AddLocalShapeDescriptor

from lsd_experiments.datasets import Dataset
from lsd_experiments.sources import world_units
from lsd_experiments.targets import DIRECT
from lsd_experiments.training.keys import LABELS, LABELS_MASK, RAW, head_keys


def published_source(dataset: Dataset, container: str, padding: tuple[int, ...]) -> gp.Pipeline:
    """A random location in ``container``; labels and mask are padded by so many voxels (z, y, x)."""
    pad = gp.Coordinate(padding) * world_units(dataset.voxel_size)
    source = gp.ZarrSource(
        container,
        {RAW: dataset.raw, LABELS: dataset.labels, LABELS_MASK: dataset.labels_mask},
        {RAW: gp.ArraySpec(interpolatable=True), LABELS: gp.ArraySpec(interpolatable=False),
         LABELS_MASK: gp.ArraySpec(interpolatable=False)},
    )
    source += gp.Normalize(RAW) + gp.Pad(RAW, None) + gp.Pad(LABELS, pad) + gp.Pad(LABELS_MASK, pad)
    return source + gp.RandomLocation(min_masked=0.5, mask=LABELS_MASK)


def published_augmentation() -> gp.Pipeline:
    """Displacement, mirrors and transpositions, intensities."""
    nodes = gp.ElasticAugment(
        [4, 4, 10], [0, 2, 2], [0, math.pi / 2], prob_slip=0.05, prob_shift=0.05, max_misalign=10, subsample=8
    )
    nodes += gp.SimpleAugment(transpose_only=[1, 2])
    return nodes + gp.IntensityAugment(RAW, 0.9, 1.1, -0.1, 0.1, z_section_wise=True)


def published_targets(sigma: float = 120, downsample: int = 2) -> gp.Pipeline:
    """Grown boundaries, descriptors, affinities and their weights; the labels mask weighs the descriptors' loss."""
    affs, lsds = head_keys("affs"), head_keys("lsds")
    nodes = gp.GrowBoundary(LABELS, mask=LABELS_MASK, steps=1, only_xy=True)
    nodes += AddLocalShapeDescriptor(LABELS, lsds.target, sigma=sigma, downsample=downsample)
    nodes += gp.AddAffinities(DIRECT, labels=LABELS, affinities=affs.target, labels_mask=LABELS_MASK, affinities_mask=affs.mask)
    return nodes + gp.BalanceLabels(affs.target, affs.weights, mask=affs.mask) + gp.IntensityScaleShift(RAW, 2, -1)
