"""One step of training, in Keras, on any of its backends.

The loss of a head is the published one, ``sum(w * (prediction - target)^2) / #(w != 0)`` (TensorFlow's
SUM_BY_NONZERO_WEIGHTS), and the losses of several heads add up without coefficients. Adam as published: beta_1 0.95,
beta_2 0.999, epsilon 1e-8, added to sqrt(v) before the bias correction, which is how Keras does it too.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from lsd_experiments import checkpoints, frameworks
from lsd_experiments.checkpoints import Checkpoint
from lsd_experiments.networks.network import Network

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Trainer:
    """A network in training. Arrays in and out are batches, channels first: [b, c, z, y, x]."""

    network: Network
    model: keras.Model

    @classmethod
    def start(
        cls,
        network: Network,
        input_shape: Sequence[int],
        learning_rate: float,
        precision: str,
        seed: int,
        checkpoint: Checkpoint | None,
    ) -> "Trainer":
        """Build and compile the model, with weights and optimizer state of ``checkpoint``, or fresh ones from ``seed``."""
        with frameworks.hidden("tensorflow"):  # Keras would import it to seed it, under any backend
            keras.utils.set_random_seed(seed % 2**32)
        model = network.build(input_shape, precision, quick=True)
        optimizer = keras.optimizers.Adam(learning_rate, beta_1=0.95, beta_2=0.999, epsilon=1e-8)
        model.compile(
            optimizer,
            loss={head.name: weighted_error for head in network.heads},
            jit_compile=keras.backend.backend() == "jax",
        )
        optimizer.build(model.trainable_variables)
        if checkpoint is not None:
            checkpoints.load_checkpoint(model, checkpoint.path)
            optimizer.learning_rate = learning_rate
        return cls(network, model)

    def use_loss(self, head: str, loss: Callable[[Any, Any], Any]) -> None:
        """Another loss of a head from the next step on; weights and the optimizer's state stay."""
        losses = {**self.model.loss, head: loss}
        self.model.compile(self.model.optimizer, loss=losses, jit_compile=self.model.jit_compile)

    def step(self, inputs: Arrays, targets: Arrays, weights: Arrays) -> dict[str, float]:
        """Update the weights; returns the loss before that, in all and of each head (``loss``, ``<head>_loss``)."""
        truth = {
            head.name: _last(np.concatenate((targets[head.name], weights[head.name]), axis=1, dtype=np.float32))
            for head in self.network.heads
        }
        logs = self.model.train_on_batch(self._inputs(inputs), truth, return_dict=True)
        if len(self.network.heads) == 1:
            logs.setdefault(f"{self.network.heads[0].name}_loss", logs["loss"])
        return {name: float(value) for name, value in logs.items()}

    def predict(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        """The outputs of the heads, [b, c, z, y, x] in [0, 1]."""
        outputs = self.model.predict_on_batch(self._inputs(inputs))
        return {name: np.moveaxis(np.asarray(output), -1, 1) for name, output in outputs.items()}

    def is_finite(self) -> bool:
        """Whether all weights are numbers."""
        return all(bool(np.isfinite(ops.convert_to_numpy(weight)).all()) for weight in self.model.trainable_variables)

    def save(self, directory: str | Path, iteration: int, record: Mapping[str, Any]) -> Path:
        """Write a checkpoint; see :mod:`lsd_experiments.checkpoints`."""
        return checkpoints.save_checkpoint(self.model, directory, self.network, iteration, record)

    def _inputs(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        return {source.name: _last(inputs[source.name]) for source in self.network.inputs}


def weighted_error(truth: Any, prediction: Any) -> Any:
    """The loss of one head; ``truth``: targets and weights, in this order, on the last axis."""
    targets, weights = ops.split(truth, 2, axis=-1)
    error = ops.sum(weights * ops.square(prediction - targets))
    count = ops.sum(ops.cast(ops.not_equal(weights, 0), error.dtype))
    return error / ops.maximum(count, 1)


def _last(array: NDArray[Any]) -> NDArray[np.float32]:
    """[b, c, z, y, x] as [b, z, y, x, c] float32."""
    return np.ascontiguousarray(np.moveaxis(array, 1, -1), dtype=np.float32)
