"""The exponential moving average of weights in a training: smoother than the weights, which jump about with each batch.

After step t it is the mean of the weights after steps 1 to t, of which those after step i count ``decay ** (t - i)``: the divisor
is the sum of these, so that the first steps need no other rule. It changes nothing of the training.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from lsd_experiments.checkpoints.average import named_weights, read_average
from lsd_experiments.checkpoints.checkpoint import AVERAGE, Checkpoint
from lsd_experiments.training.parallel import Devices


class Average:
    """Of the weights of ``model`` on ``devices``, with those of ``checkpoint`` if it has any."""

    def __init__(self, model: keras.Model, decay: float, checkpoint: Checkpoint | None, devices: Devices) -> None:
        self.decay, self._devices = decay, devices
        averaged = checkpoint is not None and checkpoint.averaged
        self.steps = int(checkpoint.record[AVERAGE]["steps"]) if checkpoint and averaged else 0
        stored = read_average(checkpoint.path) if checkpoint and averaged else {}
        self._variables = named_weights(model)
        self._values = {
            name: ops.convert_to_tensor(stored[name] if stored else np.zeros(variable.shape, np.float32), "float32")
            for name, variable in self._variables.items()
        }

    @property
    def record(self) -> dict[str, Any]:
        """What a checkpoint says of it."""
        return {AVERAGE: {"decay": self.decay, "steps": self.steps}}

    def update(self) -> None:
        """After a step."""
        self.steps += 1
        share = (1 - self.decay) / (1 - self.decay**self.steps)
        for name, variable in self._variables.items():
            value = self._values[name]
            self._values[name] = value + share * (ops.stop_gradient(ops.convert_to_tensor(variable)) - value)

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """The averages, by the weights' names."""
        return {name: np.asarray(ops.convert_to_numpy(value), np.float32) for name, value in self._values.items()}

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """While open, the model has the averages for weights."""
        plain = {name: np.array(ops.convert_to_numpy(variable)) for name, variable in self._variables.items()}
        try:
            self._assign(self.arrays())
            yield
        finally:
            self._assign(plain)

    def _assign(self, values: Mapping[str, NDArray[np.float32]]) -> None:
        with self._devices.scope():
            for name, variable in self._variables.items():
                variable.assign(values[name])
