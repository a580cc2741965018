"""The end of the training pipeline: the step, and snapshots of what went into it and came out."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gunpowder as gp
import numpy as np
from numpy.typing import NDArray

from lsd_experiments.datasets.dataset import BY_NUMBER
from lsd_experiments.networks import Network
from lsd_experiments.training.keys import PREDICTED_LSDS, RAW, head_keys
from lsd_experiments.training.snapshots import write_snapshot

if TYPE_CHECKING:
    from lsd_experiments.training.trainer import Trainer

Observer = Callable[[int, Mapping[str, NDArray[Any]]], None]
INPUTS = {"raw": RAW, "lsds": PREDICTED_LSDS}  # the arrays that networks take, by the names of their inputs


class Train(gp.BatchFilter):
    """One step for each batch that passes; predictions and gradients, of before the step, where they are asked for.

    ``start`` is called with the first batch: a PreCache above has forked its workers by then, which would not survive a
    TensorFlow that has run before, and need none.
    """

    def __init__(self, start: Callable[[], "Trainer"], heads: tuple[str, ...], loss_divisor: str = BY_NUMBER) -> None:
        self.start = start
        self.heads = heads
        self.loss_divisor = loss_divisor
        self.trainer: Trainer | None = None
        self.logs: dict[str, float] = {}

    def setup(self) -> None:
        """Announce predictions and gradients."""
        for name in self.heads:
            keys = head_keys(name)
            spec = self.spec[keys.target].copy()
            spec.dtype = np.float32
            self.provides(keys.prediction, spec)
            self.provides(keys.gradient, spec.copy())

    def prepare(self, request: gp.BatchRequest) -> None:
        """Ask for nothing more: the loop asks for inputs, targets and weights."""

    def process(self, batch: gp.Batch, request: gp.BatchRequest) -> gp.Batch:
        """Train on ``batch``."""
        if self.trainer is None:
            self.trainer = self.start()
        inputs = _inputs(batch, self.trainer.network)
        targets = {name: channels_first(batch[head_keys(name).target]) for name in self.heads}
        weights = {name: self.weights(batch, name) for name in self.heads}
        outputs = gp.Batch()
        if any(head_keys(name).prediction in request for name in self.heads):
            self._add_predictions(outputs, batch, self.trainer.predict(inputs), targets, weights)
        self.logs = self.trainer.step(inputs, targets, weights)
        outputs.loss = self.logs["loss"]
        return outputs

    def weights(self, batch: gp.Batch, name: str) -> NDArray[Any]:
        """What the loss of a head is told beside its target, [b, c, z, y, x]."""
        return channels_first(batch[head_keys(name).weights])

    def gradient(
        self, name: str, prediction: NDArray[Any], target: NDArray[Any], weights: NDArray[Any]
    ) -> NDArray[np.float32]:
        """The gradient of the loss of a head by the prediction."""
        return gradient(prediction, target, weights, self.loss_divisor)

    def _add_predictions(
        self,
        outputs: gp.Batch,
        batch: gp.Batch,
        predictions: Mapping[str, NDArray[Any]],
        targets: Mapping[str, NDArray[Any]],
        weights: Mapping[str, NDArray[Any]],
    ) -> None:
        for name in self.heads:
            keys = head_keys(name)
            values = {
                keys.prediction: predictions[name],
                keys.gradient: self.gradient(name, predictions[name], targets[name], weights[name]),
            }
            for key, value in values.items():
                spec = self.spec[key].copy()
                spec.roi = batch[keys.target].spec.roi.copy()
                outputs[key] = gp.Array(value, spec)


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


def gradient(
    prediction: NDArray[Any], target: NDArray[Any], weights: NDArray[Any], divisor: str = BY_NUMBER
) -> NDArray[np.float32]:
    """The gradient of a head's loss (see :mod:`lsd_experiments.training.trainer`) by the prediction; all are [b, c, z, y, x]."""
    of_sample = (1, 2, 3, 4)
    divisors = (weights != 0 if divisor == BY_NUMBER else weights).sum(axis=of_sample, keepdims=True) * len(weights)
    scale = 2 * weights / np.where(divisors > 0, divisors, 1)
    values: NDArray[np.float32] = (scale * (prediction - target)).astype(np.float32)
    return values


def _inputs(batch: gp.Batch, network: Network) -> dict[str, NDArray[Any]]:
    """The network's inputs; raw that reaches further, since LSDs were made of it, is cropped to them."""
    arrays = {source.name: batch[INPUTS[source.name]] for source in network.inputs}
    roi = min((array.spec.roi for array in arrays.values()), key=lambda roi: roi.size)
    return {name: channels_first(array.crop(roi)) for name, array in arrays.items()}


def channels_first(array: gp.Array) -> NDArray[Any]:
    """The array's values, a stack of samples with or without a channel axis, as [b, c, z, y, x]."""
    values: NDArray[Any] = array.data
    return values[:, None] if values.ndim == 4 else values
