"""The training pipeline of the published scripts, node by node."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import gunpowder as gp

from lsd_experiments.datasets import Dataset
from lsd_experiments.networks.network import Shape
from lsd_experiments.sources import cause_of, world_units
from lsd_experiments.training.boundaries import GrowBoundary
from lsd_experiments.training.data import Sample
from lsd_experiments.training.decoded import Room
from lsd_experiments.training.experiment import Experiment
from lsd_experiments.training.keys import COUNTED, FIRST_PREDICTION, LABELS, LABELS_MASK, RAW, UNLABELED, head_keys
from lsd_experiments.training.nodes import CountOnly
from lsd_experiments.training.places import Location, Places
from lsd_experiments.training.sources import RandomLocation, sample_source

logger = logging.getLogger(__name__)
Samples = Sequence[tuple[Sample, Places]]


def batch_pipeline(experiment: Experiment, dataset: Dataset, samples: Samples, batch_size: int) -> gp.Pipeline:
    """Batches for training: raw in [-1, 1], labels, and the heads' targets and weights, as stacks of ``batch_size``."""
    # A random location in a random volume, where the mask covers enough of the output.
    counted = any(sample.kept for sample, _ in samples)
    room = Room()  # each volume is read again and again
    pipeline = tuple(_source(dataset, sample, places, experiment.parity, counted, room) for sample, places in samples)
    pipeline += gp.RandomProvider(probabilities=[sample.probability for sample, _ in samples])
    pipeline += experiment.sampling()
    return _with_targets(pipeline, experiment, dataset, counted) + gp.Stack(batch_size)


def fixed_pipeline(experiment: Experiment, dataset: Dataset, sample: Sample, places: Location) -> gp.Pipeline:
    """As :func:`batch_pipeline`, of one sample, without augmentation, at a location that somebody sets."""
    source = _source(dataset, sample, places, experiment.parity, counted=True)
    return _with_targets(source, experiment, dataset, counted=True) + gp.Stack(1)


def _with_targets(pipeline: gp.Pipeline, experiment: Experiment, dataset: Dataset, counted: bool) -> gp.Pipeline:
    # What the heads are trained towards.
    if experiment.boundary_axes:
        pipeline += GrowBoundary(experiment.boundary_axes, experiment.parity)
    for target in experiment.targets:
        pipeline += target.nodes(dataset, experiment.parity)
    if counted:
        pipeline += CountOnly(experiment.targets)
    # To the network's range, [-1, 1].
    pipeline += gp.IntensityScaleShift(RAW, 2, -1)
    return pipeline


def batch_request(
    experiment: Experiment, dataset: Dataset, input_shape: Shape, output_shape: Shape, raw_shape: Shape | None = None
) -> gp.BatchRequest:
    """What one step needs, centred on one place: raw and other inputs of the input shape, all else of the output shape.

    ``raw_shape``: of raw, in auto-context, where it is larger since the first network makes its prediction of it.
    """
    unit = world_units(dataset.voxel_size)
    output_size = gp.Coordinate(output_shape) * unit
    request = gp.BatchRequest()
    request.add(RAW, gp.Coordinate(raw_shape or input_shape) * unit)
    if raw_shape:
        request.add(FIRST_PREDICTION, gp.Coordinate(input_shape) * unit)
    request.add(LABELS, output_size)
    request.add(LABELS_MASK, output_size)
    if dataset.unlabeled_mask:
        request.add(UNLABELED, output_size)
    keys = {target: head_keys(target.name) for target in experiment.targets}
    for target in experiment.targets:
        request.add(keys[target].target, output_size)
        request.add(keys[target].weights, output_size)
    for target in experiment.targets:
        if target.has_mask:
            request.add(keys[target].mask, output_size)
    if experiment.malis_from is not None and experiment.parity:
        # As published, labels reach as far as affinities look, since parts of an object may be connected there.
        request[LABELS].roi = request[LABELS].roi.grow(unit, (0, 0, 0))
    return request


def _source(
    dataset: Dataset, sample: Sample, places: Location, parity: bool, counted: bool = False, room: Room | None = None
) -> gp.Pipeline:
    # To [0, 1] by the type's range; raw of another range comes in [0, 1].
    pipeline = sample_source(sample, world_units(dataset.voxel_size), parity, counted, room) + gp.Normalize(RAW)
    # 0 where there is no raw, and no label; where outputs may lie, ``places`` knows.
    for key in (RAW, LABELS, LABELS_MASK, *([UNLABELED] if sample.unlabeled_mask else [])):
        pipeline += gp.Pad(key, None)
    if counted:
        pipeline += gp.Pad(COUNTED, None, value=0 if sample.only else 1)
    return pipeline + RandomLocation(places)


@contextmanager
def reduced_to_cause() -> Iterator[None]:
    """Raise the cause of gunpowder's error instead of it; with ``--debug`` it comes along."""
    try:
        yield
    except Exception as error:
        raise cause_of(error) from (error if logger.isEnabledFor(logging.DEBUG) else None)
