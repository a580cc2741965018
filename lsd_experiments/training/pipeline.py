"""The training pipeline of the published scripts, node by node."""

from collections.abc import Callable, Sequence

import gunpowder as gp

from lsd_experiments.augmentation.elastic import ElasticAugment
from lsd_experiments.datasets import Dataset
from lsd_experiments.networks.network import Network
from lsd_experiments.sources import world_units
from lsd_experiments.training.data import Sample
from lsd_experiments.training.keys import AFFS_MASK, LABELS, LABELS_MASK, RAW, head_keys
from lsd_experiments.training.padding import label_padding
from lsd_experiments.training.sources import RandomLocation, Seed, sample_source
from lsd_experiments.training.targets import Targets

TargetNodes = Callable[[Targets], gp.BatchFilter]
CACHED_BATCHES = 40


def sample_pipeline(
    dataset: Dataset,
    network: Network,
    samples: Sequence[Sample],
    output_shape: Sequence[int],
    targets: TargetNodes,
    batch_size: int,
    num_workers: int,
    seed: int,
    first_batch: int,
) -> gp.Pipeline:
    """Batches for training: raw in [-1, 1], labels, and the heads' targets and weights, as stacks of ``batch_size``."""
    # A random location in a random volume, where the labels mask covers at least half of the output.
    pipeline = tuple(_source(dataset, network, sample, output_shape) for sample in samples)
    pipeline += gp.RandomProvider(probabilities=_probabilities(dataset, samples))
    # Displace a grid of control points, rotate about z, misalign sections.
    pipeline += ElasticAugment(dataset.elastic)
    # Mirror along each axis and exchange those that are alike.
    pipeline += gp.SimpleAugment(transpose_only=list(dataset.transpose_axes))
    if dataset.elastic_after is not None:
        pipeline += ElasticAugment(dataset.elastic_after)
    # Scale and shift intensities about their mean, of each section or of all, within [0, 1].
    slab = (1, -1, -1) if dataset.intensity_per_section else None
    pipeline += gp.IntensityAugment(RAW, scale_min=0.9, scale_max=1.1, shift_min=-0.1, shift_max=0.1, slab=slab)
    # What the heads are trained towards.
    pipeline += targets(Targets(dataset, network))
    # To the network's range, [-1, 1].
    pipeline += gp.IntensityScaleShift(RAW, 2, -1)
    pipeline += gp.Stack(batch_size)
    # Each batch is determined by the seed and its number, whichever process makes it.
    pipeline += Seed(seed, first_batch)
    if num_workers:
        pipeline += gp.PreCache(cache_size=min(CACHED_BATCHES, 4 * num_workers), num_workers=num_workers)
    return pipeline


def batch_request(network: Network, input_shape: Sequence[int], voxel_size: Sequence[float]) -> gp.BatchRequest:
    """What one step needs, centred on one place: raw of the input shape, all else of the output shape."""
    unit = world_units(voxel_size)
    output_size = gp.Coordinate(network.output_shape(input_shape)) * unit
    request = gp.BatchRequest()
    request.add(RAW, gp.Coordinate(input_shape) * unit)
    request.add(LABELS, output_size)
    request.add(LABELS_MASK, output_size)
    for head in network.heads:
        request.add(head_keys(head.name).target, output_size)
        request.add(head_keys(head.name).weights, output_size)
    if any(head.name == "affs" for head in network.heads):
        request.add(AFFS_MASK, output_size)
    return request


def _source(dataset: Dataset, network: Network, sample: Sample, output_shape: Sequence[int]) -> gp.Pipeline:
    unit = world_units(dataset.voxel_size)
    padding = gp.Coordinate(label_padding(dataset, network, output_shape)) * unit
    return (
        sample_source(sample, unit)
        + gp.Normalize(RAW)
        + gp.Pad(RAW, None)
        + gp.Pad(LABELS, padding)
        + gp.Pad(LABELS_MASK, padding)
        + RandomLocation(min_masked=dataset.min_masked, mask=LABELS_MASK)
    )


def _probabilities(dataset: Dataset, samples: Sequence[Sample]) -> tuple[float, ...] | None:
    """The published probabilities of the dataset's own volumes; of others, all alike."""
    return dataset.probabilities if dataset.probabilities and len(samples) == len(dataset.probabilities) else None
