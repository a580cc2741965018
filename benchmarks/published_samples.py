"""The published training pipeline of zebrafinch's MTLSD network in gunpowder's and lsds' own nodes; see samples.py."""

import gunpowder as gp
from lsd.train.gp import AddLocalShapeDescriptor

from lsd_experiments.datasets import Dataset
from lsd_experiments.networks import Network
from lsd_experiments.sources import world_units
from lsd_experiments.training.keys import AFFS_MASK, LABELS, LABELS_MASK, RAW, head_keys


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
    return source + gp.RandomLocation(min_masked=dataset.min_masked, mask=LABELS_MASK)


def published_augmentation(dataset: Dataset) -> gp.Pipeline:
    """Displacement, mirrors and transpositions, intensities."""
    elastic = dataset.elastic
    nodes = gp.ElasticAugment(
        list(elastic.control_point_spacing),
        list(elastic.jitter_sigma),
        list(elastic.rotation_interval),
        prob_slip=elastic.prob_slip,
        prob_shift=elastic.prob_shift,
        max_misalign=elastic.max_misalign,
        subsample=elastic.subsample,
    )
    nodes += gp.SimpleAugment(transpose_only=list(dataset.transpose_axes))
    return nodes + gp.IntensityAugment(RAW, 0.9, 1.1, -0.1, 0.1, z_section_wise=dataset.intensity_per_section)


def published_targets(dataset: Dataset, network: Network, downsample: int = 2) -> gp.Pipeline:
    """Grown boundaries, descriptors, affinities and their weights; the labels mask weighs the descriptors' loss."""
    affs, lsds = head_keys("affs"), head_keys("lsds")
    channels = next(head.channels for head in network.heads if head.name == "affs")
    nodes = gp.GrowBoundary(LABELS, mask=LABELS_MASK, steps=1, only_xy=dataset.grow_boundary_in_xy)
    nodes += AddLocalShapeDescriptor(LABELS, lsds.target, sigma=dataset.sigma, downsample=downsample)
    nodes += gp.AddAffinities(dataset.neighborhood(channels), labels=LABELS, affinities=affs.target,
                              labels_mask=LABELS_MASK, affinities_mask=AFFS_MASK)
    return nodes + gp.BalanceLabels(affs.target, affs.weights, mask=AFFS_MASK) + gp.IntensityScaleShift(RAW, 2, -1)
