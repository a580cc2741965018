"""The training pipeline of the published scripts, node by node."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import gunpowder as gp
import numpy as np

from lsd_experiments.augmentation.elastic import ElasticAugment
from lsd_experiments.augmentation.warp import warp
from lsd_experiments.datasets import Dataset
from lsd_experiments.descriptors import local_shape_descriptors
from lsd_experiments.geometry import Box
from lsd_experiments.networks.network import Network
from lsd_experiments.prediction.autocontext import takes_lsds
from lsd_experiments.sources import cause_of, world_units
from lsd_experiments.training.data import Sample
from lsd_experiments.training.keys import AFFS_MASK, LABELS, LABELS_MASK, PREDICTED_LSDS, RAW, UNLABELED, head_keys
from lsd_experiments.training.places import Places
from lsd_experiments.training.sources import RandomLocation, sample_source
from lsd_experiments.training.targets import Targets

logger = logging.getLogger(__name__)
Samples = Sequence[tuple[Sample, Places]]
TargetNodes = Callable[[Targets], gp.BatchFilter]


def batch_pipeline(
    dataset: Dataset, network: Network, samples: Samples, targets: TargetNodes, batch_size: int
) -> gp.Pipeline:
    """Batches for training: raw in [-1, 1], labels, and the heads' targets and weights, as stacks of ``batch_size``."""
    # A random location in a random volume, where the mask covers enough of the output.
    pipeline = tuple(_source(dataset, sample, places) for sample, places in samples)
    pipeline += gp.RandomProvider(probabilities=[sample.probability for sample, _ in samples])
    # Displace a grid of control points, rotate about z, misalign sections.
    pipeline += ElasticAugment(dataset.elastic)
    # Mirror along each axis and exchange those that are alike.
    pipeline += gp.SimpleAugment(transpose_only=list(dataset.transpose_axes))
    if dataset.elastic_after is not None:
        pipeline += ElasticAugment(dataset.elastic_after)
    # Scale and shift intensities about their mean, of each section or of all, within [0, 1].
    slab = (1, -1, -1) if dataset.intensity_per_section else None
    pipeline += gp.IntensityAugment(RAW, scale_min=0.9, scale_max=1.1, shift_min=-0.1, shift_max=0.1, slab=slab)
    if dataset.noise_variance:
        pipeline += gp.NoiseAugment(RAW, var=dataset.noise_variance)
    # What the heads are trained towards.
    pipeline += targets(Targets(dataset, network))
    # To the network's range, [-1, 1].
    pipeline += gp.IntensityScaleShift(RAW, 2, -1)
    pipeline += gp.Stack(batch_size)
    return pipeline


def batch_request(
    network: Network,
    input_shape: Sequence[int],
    dataset: Dataset,
    raw_shape: Sequence[int] | None = None,
    malis: bool = False,
) -> gp.BatchRequest:
    """What one step needs, centred on one place: raw and other inputs of the input shape, all else of the output shape.

    ``raw_shape``: of raw, where it is larger since LSDs of the input shape are made of it. ``malis``: with the dataset's parity,
    labels reach as far as affinities look, since parts of an object may be connected there, as published.
    """
    unit = world_units(dataset.voxel_size)
    output_size = gp.Coordinate(network.output_shape(input_shape)) * unit
    request = gp.BatchRequest()
    request.add(RAW, gp.Coordinate(raw_shape or input_shape) * unit)
    if takes_lsds(network):
        request.add(PREDICTED_LSDS, gp.Coordinate(input_shape) * unit)
    request.add(LABELS, output_size)
    request.add(LABELS_MASK, output_size)
    if dataset.unlabeled_mask:
        request.add(UNLABELED, output_size)
    for head in network.heads:
        request.add(head_keys(head.name).target, output_size)
        request.add(head_keys(head.name).weights, output_size)
    if any(head.name == "affs" for head in network.heads):
        request.add(AFFS_MASK, output_size)
    if malis and dataset.parity:
        request[LABELS].roi = request[LABELS].roi.grow(unit, (0, 0, 0))
    return request


def _source(dataset: Dataset, sample: Sample, places: Places) -> gp.Pipeline:
    # To [0, 1] by the type's range; raw of another range comes in [0, 1].
    pipeline = sample_source(sample, world_units(dataset.voxel_size), dataset.parity) + gp.Normalize(RAW)
    # 0 where there is no raw, and no label; where outputs may lie, ``places`` knows.
    for key in (RAW, LABELS, LABELS_MASK, *([UNLABELED] if sample.unlabeled_mask else [])):
        pipeline += gp.Pad(key, None)
    return pipeline + RandomLocation(places)


def compile_kernels(dataset: Dataset, samples: Samples) -> None:
    """Compile, or load, what the pipeline runs compiled, so that workers forked after this need not."""
    local_shape_descriptors(np.ones((4, 4, 4), np.uint64), dataset.sigma, dataset.voxel_size, dataset.lsd_downsample)
    box = Box((0, 0, 0), (2, 2, 2))
    still, unmoved = np.zeros((3, 2, 2, 2), np.float32), np.zeros((2, 2), np.float32)
    for dtype in {sample.labels.dtype for sample, _ in samples} | {np.dtype(np.uint8)}:  # masks are uint8
        warp(np.zeros((2, 2, 2), dtype), (0, 0, 0), still, unmoved, (2, 2, 2), box, interpolate=False)
    warp(np.zeros((2, 2, 2), np.float32), (0, 0, 0), still, unmoved, (2, 2, 2), box, interpolate=True)


@contextmanager
def reduced_to_cause() -> Iterator[None]:
    """Raise the cause of gunpowder's error instead of it; with ``--debug`` it comes along."""
    try:
        yield
    except Exception as error:
        raise cause_of(error) from (error if logger.isEnabledFor(logging.DEBUG) else None)
