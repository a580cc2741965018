"""Validation: the loss, and on demand the VOI of a segmentation, on the parts of volumes that are kept for it.

Blocks of the network's output tile the middle of each part, always the same ones, without augmentation::

    part     |------------------------------|
    blocks     |--------|--------|--------|        at most BLOCKS of all parts; of a part smaller than one, one over its middle

Nothing here takes random numbers from the training's, nor changes its state.
"""

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gunpowder as gp
import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays import read_mask
from lsd_experiments.datasets import Dataset
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box, Voxels
from lsd_experiments.targets import Loss
from lsd_experiments.training.data import Sample
from lsd_experiments.training.experiment import Experiment
from lsd_experiments.training.nodes import step_arrays
from lsd_experiments.training.pipeline import fixed_pipeline, reduced_to_cause
from lsd_experiments.training.validation_descriptors import DescriptorSums
from lsd_experiments.training.validation_segmentation import counted_labels, segmented_scores, segmented_target

if TYPE_CHECKING:
    from lsd_experiments.training.trainable import TrainableModel

BLOCKS = 16
Scores = dict[str, float]
Predicted = tuple[Box, Mapping[str, NDArray[np.float32]]]


def blocks(part: Box, output_shape: Sequence[int], most: int) -> list[Box]:
    """Boxes of ``output_shape`` that tile the middle of ``part``, ``most`` at the most; or one over it, where it is smaller."""
    counts = [max(1, size // out) for size, out in zip(part.shape, output_shape, strict=True)]
    while math.prod(counts) > most:
        counts[counts.index(max(counts))] -= 1
    begin = [b + (size - n * out) // 2
             for b, size, n, out in zip(part.begin, part.shape, counts, output_shape, strict=True)]
    whole = Box.of_shape([n * out for n, out in zip(counts, output_shape, strict=True)], begin)
    return list(whole.blocks(output_shape))


@dataclass
class Place:
    """The next block: what :class:`~lsd_experiments.training.sources.RandomLocation` asks for a place."""

    output_shape: Voxels
    begin: Voxels = (0, 0, 0)

    def draw(self) -> Voxels:
        """Not at random."""
        return self.begin


class Part:
    """One part: its blocks, and the pipeline that makes them."""

    def __init__(self, pipeline: gp.Pipeline, place: Place, sample: Sample, boxes: list[Box]) -> None:
        self.pipeline, self.place, self.sample, self.boxes = pipeline, place, sample, boxes
        with reduced_to_cause():
            pipeline.setup()

    def batches(self, request: gp.BatchRequest) -> Iterator[tuple[Box, gp.Batch]]:
        """Each block, in voxels of the labels, and the batch of it."""
        for box in self.boxes:
            self.place.begin = tuple(b + s for b, s in zip(box.begin, self.sample.shift, strict=True))
            asked = request.copy()
            asked._random_seed = 0
            with reduced_to_cause():
                yield box, self.pipeline.request_batch(asked)


class Validation:
    """The blocks of ``samples`` (:mod:`.validation_samples`), with all that ``request`` says a step of ``experiment`` takes.

    ``first``: makes the node of auto-context. ``segments``: whether the first part is segmented.

    :raises UserError: if nothing counts in the blocks of a part, no object is in those that are segmented, or no head makes
        affinities
    """

    def __init__(
        self,
        experiment: Experiment,
        dataset: Dataset,
        samples: Sequence[Sample],
        request: gp.BatchRequest,
        output_shape: Voxels,
        segments: bool = False,
        first: Callable[[], gp.BatchFilter] | None = None,
    ) -> None:
        self.experiment, self.dataset, self.request, self.segments = experiment, dataset, request, segments
        self.parts: list[Part] = []
        if segments:
            segmented_target(experiment)
        for sample in samples:
            assert sample.only is not None, "a sample of training"
            place = Place(tuple(output_shape))
            pipeline = fixed_pipeline(experiment, dataset, sample, place)
            boxes = blocks(sample.only, output_shape, max(1, BLOCKS // len(samples)))
            _check(dataset, sample, boxes, is_segmented=segments and not self.parts)
            self.parts.append(Part(pipeline + first() if first else pipeline, place, sample, boxes))

    def scores(self, model: "TrainableModel", losses: Mapping[str, Loss]) -> Scores:
        """``loss``, each head's, named as in training; of descriptors how they agree with the truth's, inside of objects; of
        segments ``voi_split``, ``voi_merge``, ``voi_sum``, ``threshold``.
        """
        with same_random_numbers():
            found: list[Scores] = []
            segmented: Scores = {}
            agreement = DescriptorSums(self.experiment)
            for part in self.parts:
                predicted: list[Predicted] = []
                for box, batch in part.batches(self.request):
                    arrays = step_arrays(batch, self.experiment, model.network, losses)
                    logs, outputs = model.loss_of(*arrays)
                    found.append(logs)
                    agreement.add(batch, outputs)
                    predicted.append((box, {name: output[0] for name, output in outputs.items()}))
                if self.segments and not segmented:
                    segmented = segmented_scores(self.experiment, self.dataset, part.sample, predicted)
            labels = {f"{target.name}_loss": losses[target.name].label(target) for target in self.experiment.targets}
            means = {labels.get(key, key): float(np.mean([logs[key] for logs in found])) for key in found[0]}
            return means | agreement.columns() | segmented

    def described(self, losses: Mapping[str, Loss]) -> dict[str, Any]:
        """What scores must have in common to be compared, as JSON values."""
        parts = [part.model_dump(mode="json") for part in self.dataset.validation]
        metric = "voi_sum" if self.segments else "loss"
        targets = [] if self.segments else self.experiment.targets
        kinds = {target.name: losses[target.name].label(target) for target in targets}
        return {"metric": metric, "losses": kinds, "parts": parts}


def _check(dataset: Dataset, sample: Sample, boxes: Sequence[Box], is_segmented: bool) -> None:
    whole = Box(boxes[0].begin, boxes[-1].end)
    inside = whole.intersect(sample.only or whole)
    for mask in sample.masks:
        if not read_mask(mask, inside).any():
            raise UserError(f"[[validation]] of {dataset.name}: {mask.name} is 0 in all of the part. Choose another part")
    if is_segmented and not counted_labels(sample, inside).any():
        raise UserError(f"[[validation]] of {dataset.name}: {sample.labels.name} has no object in the part that is segmented. "
                        "Choose another part, or leave --validate-segmentation out")


@contextmanager
def same_random_numbers() -> Iterator[None]:
    """While open, random numbers may be drawn; after it, the next ones are those that would have been."""
    state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002 (gunpowder draws these)
    try:
        yield
    finally:
        random.setstate(state)
        np.random.set_state(numpy_state)  # noqa: NPY002
