"""The end of the training pipeline: the step, and snapshots of what went into it and came out."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gunpowder as gp
import numpy as np
from numpy.typing import NDArray

from lsd_experiments.networks import Network
from lsd_experiments.targets import Loss, Target
from lsd_experiments.training.experiment import RAW_INPUT, Experiment
from lsd_experiments.training.keys import COUNTED, FIRST_PREDICTION, RAW, channels_first, head_keys
from lsd_experiments.training.schedule import Schedule
from lsd_experiments.training.snapshots import write_snapshot

if TYPE_CHECKING:
    from lsd_experiments.training.trainable import TrainableModel

Arrays = Mapping[str, NDArray[Any]]
Observer = Callable[[int, Arrays], None]
logger = logging.getLogger(__name__)


class TrainingStep(gp.BatchFilter):
    """One step for each batch that passes; predictions and gradients, of before the step, where they are asked for.

    ``start`` is called with the first batch, and the losses of its phase: a PreCache above has forked its workers by then, which
    would not survive a TensorFlow that has run before, and need none. ``iteration``: of the last batch before this run.
    ``schedule``: of the learning rate, if that varies.
    """

    def __init__(
        self,
        experiment: Experiment,
        start: "Callable[[dict[str, Loss]], TrainableModel]",
        iteration: int = 0,
        schedule: Schedule | None = None,
    ) -> None:
        self.experiment, self.start, self.iteration, self.schedule = experiment, start, iteration, schedule
        self.losses: dict[str, Loss] = {}
        self.model: TrainableModel | None = None
        self.logs: dict[str, float] = {}

    def setup(self) -> None:
        """Announce predictions and gradients."""
        for target in self.experiment.targets:
            keys = head_keys(target.name)
            spec = self.spec[keys.target].copy()
            spec.dtype = np.float32
            self.provides(keys.prediction, spec)
            self.provides(keys.gradient, spec.copy())

    def prepare(self, request: gp.BatchRequest) -> None:
        """Ask for nothing more: the loop asks for inputs, targets and weights."""

    def process(self, batch: gp.Batch, request: gp.BatchRequest) -> gp.Batch:
        """Train on ``batch``, with the losses of its phase."""
        targets = self.experiment.targets
        model = self._model_in_phase()
        inputs, truth, knowledge = step_arrays(batch, self.experiment, model.network, self.losses)
        outputs = gp.Batch()
        if any(head_keys(target.name).prediction in request for target in targets):
            self._add_predictions(outputs, batch, model.predict(inputs), truth, knowledge)
        if self.schedule is not None:
            model.use_learning_rate(self.schedule.at(self.iteration + 1))
        logs = model.step(inputs, truth, knowledge)
        labels = {f"{target.name}_loss": self.losses[target.name].label(target) for target in targets}
        self.logs = {labels.get(name, name): value for name, value in logs.items()}
        if self.schedule is not None:
            self.logs["learning_rate"] = self.schedule.at(self.iteration + 1)
        outputs.loss = self.logs["loss"]
        self.iteration += 1
        return outputs

    def _model_in_phase(self) -> "TrainableModel":
        """The model, built if need be, with the losses of the next step."""
        losses = self.experiment.losses(self.iteration)
        if self.model is None:
            self.model = self.start(losses)
        elif losses != self.losses:
            logger.info("from iteration %d on, losses are %s", self.iteration + 1, losses)
            self.model.use_losses(self.experiment.in_keras(losses))
        self.losses = losses
        return self.model

    def _add_predictions(
        self, outputs: gp.Batch, batch: gp.Batch, predictions: Arrays, truth: Arrays, knowledge: Arrays
    ) -> None:
        for target in self.experiment.targets:
            keys, name = head_keys(target.name), target.name
            gradient = self.losses[name].gradient(target, predictions[name], truth[name], knowledge[name])
            for key, value in ((keys.prediction, predictions[name]), (keys.gradient, gradient)):
                spec = self.spec[key].copy()
                spec.roi = batch[keys.target].spec.roi.copy()
                outputs[key] = gp.Array(value, spec)


class CountOnly(gp.BatchFilter):
    """Takes no loss where COUNTED is 0: weights, and the masks of targets that have one, are 0 there."""

    def __init__(self, targets: Sequence[Target]) -> None:
        of_targets = [(head_keys(target.name), target.has_mask) for target in targets]
        self.keys = [key for keys, has_mask in of_targets for key in ((keys.weights, keys.mask) if has_mask else (keys.weights,))]

    def setup(self) -> None:
        """Announce that they are changed."""
        self.enable_autoskip()
        for key in self.keys:
            self.updates(key, self.spec[key].copy())

    def prepare(self, request: gp.BatchRequest) -> gp.BatchRequest:
        """Ask for those that are asked for, and for COUNTED there."""
        deps = gp.BatchRequest()
        for key in self.keys:
            if key in request:
                deps[key] = request[key].copy()
        deps[COUNTED] = gp.ArraySpec(deps.get_total_roi())
        return deps

    def process(self, batch: gp.Batch, request: gp.BatchRequest) -> None:
        """In place."""
        for key in self.keys:
            if key in batch:
                array = batch[key]
                array.data = np.where(batch[COUNTED].crop(array.spec.roi).data, array.data, array.data.dtype.type(0))


class Snapshot(gp.BatchFilter):
    """Writes the first batch of a run and each ``every``-th after it, and any batch whose loss is not finite.

    ``names``: the datasets, by array; ``extra``: the arrays among them that are only computed for snapshots.
    ``iteration``: of the last batch before this run; ``made_by``: the provenance; ``observer`` is called with each snapshot's
    iteration and arrays.
    """

    def __init__(
        self,
        names: Mapping[gp.ArrayKey, str],
        extra: Mapping[gp.ArrayKey, gp.Roi],
        directory: str | Path,
        every: int,
        iteration: int,
        voxel_size: tuple[float, ...],
        made_by: Mapping[str, Any],
        observer: Observer,
    ) -> None:
        self.names = dict(names)
        self.extra = dict(extra)
        self.directory = Path(directory)
        self.every = every
        self.iteration = iteration
        self.voxel_size = voxel_size
        self.made_by = made_by
        self.observer = observer
        self.count = 0

    def prepare(self, request: gp.BatchRequest) -> gp.BatchRequest:
        """Ask for all that the loop asks for, and for what only snapshots hold when one is due."""
        deps = request.copy()
        if self.count % self.every == 0:
            for key, roi in self.extra.items():
                deps[key] = gp.ArraySpec(roi=roi.copy())
        return deps

    def process(self, batch: gp.Batch, request: gp.BatchRequest) -> None:
        """Write the batch if a snapshot is due."""
        due = self.count % self.every == 0
        self.count += 1
        self.iteration += 1
        if not (due or not np.isfinite(batch.loss)):
            return
        arrays = {name: batch[key] for key, name in self.names.items() if key in batch.arrays}
        spatial = {name: (array.data[0], self._offset(array)) for name, array in arrays.items()}
        path = self.directory / f"batch_{self.iteration}.hdf"
        attributes = {"loss": batch.loss, "iteration": self.iteration, "provenance": json.dumps(self.made_by)}
        write_snapshot(path, spatial, self.voxel_size, attributes)
        self.observer(self.iteration, {name: values for name, (values, _) in spatial.items()})

    def _offset(self, array: gp.Array) -> tuple[float, ...]:
        voxels = array.spec.roi.begin / array.spec.voxel_size
        return tuple(int(v) * size for v, size in zip(voxels, self.voxel_size, strict=True))


def step_arrays(
    batch: gp.Batch, experiment: Experiment, network: Network, losses: Mapping[str, Loss]
) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    """The network's inputs, and of each head the truth and what its loss is told besides, [b, c, z, y, x]."""
    truth = {target.name: channels_first(batch[head_keys(target.name).target]) for target in experiment.targets}
    knowledge = {target.name: losses[target.name].knowledge(target, batch) for target in experiment.targets}
    return _inputs(batch, network), truth, knowledge


def _inputs(batch: gp.Batch, network: Network) -> dict[str, NDArray[Any]]:
    """The network's inputs; raw that reaches further, since the first network saw it, is cropped to them."""
    keys = {source.name: RAW if source.name == RAW_INPUT else FIRST_PREDICTION for source in network.inputs}
    arrays = {name: batch[key] for name, key in keys.items()}
    roi = min((array.spec.roi for array in arrays.values()), key=lambda roi: roi.size)
    return {name: channels_first(array.crop(roi)) for name, array in arrays.items()}
