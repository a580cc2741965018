"""One step of training, in Keras, on any of its backends.

The losses of several heads add up without coefficients; that of a batch is the mean of its samples' (published batches have one).
In half precision the loss is scaled, by a factor that halves when a gradient is not finite, and that step is skipped, and doubles
after 1000 steps without one.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from lsd_experiments import checkpoints, frameworks
from lsd_experiments.checkpoints import Checkpoint
from lsd_experiments.errors import UserError
from lsd_experiments.networks.network import Network
from lsd_experiments.targets.losses import KerasLoss
from lsd_experiments.training.average import Average
from lsd_experiments.training.experiment import Adam
from lsd_experiments.training.options import TrainingOptions
from lsd_experiments.training.parallel import Devices, KerasDevices, find_devices

Arrays = Mapping[str, NDArray[Any]]
LOSS_SCALE, GROWTH_STEPS = 2.0**15, 1000  # of the published half precision


@dataclass(frozen=True)
class TrainableModel:
    """A network in training. Arrays in and out are batches, channels first: [b, c, z, y, x].

    ``average``: of its weights, if one is kept.
    """

    network: Network
    model: keras.Model
    devices: Devices = field(default_factory=KerasDevices)
    average: Average | None = None

    @classmethod
    def start(
        cls,
        network: Network,
        input_shape: Sequence[int],
        options: TrainingOptions,
        adam: Adam,
        losses: Mapping[str, KerasLoss],
        seed: int,
        checkpoint: Checkpoint | None,
    ) -> "TrainableModel":
        """Build and compile the model, with weights and optimizer state of ``checkpoint``, or fresh ones from ``seed``.

        :raises UserError: if the backend cannot do this on these devices
        """
        with frameworks.hidden("tensorflow"):  # Keras would import it to seed it, under any backend
            keras.utils.set_random_seed(seed % 2**32)
        devices = find_devices(options.devices)
        with devices.scope():
            model = network.build(input_shape, options.precision, quick=options.devices == 1)
            optimizer = _with_loss_scale(adam.in_keras(options.learning_rate), options.precision)
            model.compile(optimizer, loss=dict(losses), jit_compile=_is_compiled(options))
            optimizer.build(model.trainable_variables)
            if checkpoint is not None:
                with _own_adam(model):
                    checkpoints.load_checkpoint(model, checkpoint.path, plain=True)
                optimizer.learning_rate = options.learning_rate
                _set_loss_scale(optimizer, checkpoint.record.get("loss_scale"))
            average = Average(model, options.average_weights, checkpoint, devices) if options.average_weights else None
        return cls(network, model, devices, average)

    def use_losses(self, losses: Mapping[str, KerasLoss]) -> None:
        """Other losses of the heads from the next step on; weights and the optimizer's state stay."""
        self.model.compile(self.model.optimizer, loss=dict(losses), jit_compile=self.model.jit_compile)

    def step(self, inputs: Arrays, targets: Arrays, knowledge: Arrays) -> dict[str, float]:
        """Update the weights; returns the loss before that, in all and of each head (``loss``, ``<head>_loss``).

        ``knowledge``: what each loss is told beside the target, such as weights.
        """
        truth = self._truth(targets, knowledge)
        logs = self.devices.step(self.model, self._inputs(inputs), truth)
        if self.average:
            self.average.update()
        if len(self.network.heads) == 1:
            logs.setdefault(f"{self.network.heads[0].name}_loss", logs["loss"])
        return {name: float(value) for name, value in logs.items()}

    def use_learning_rate(self, rate: float) -> None:
        """That of the next step."""
        with self.devices.scope():
            self.model.optimizer.learning_rate = rate

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """While open, it has the averages for weights, if they are kept."""
        with self.average.in_place() if self.average else nullcontext():
            yield

    def loss_of(self, inputs: Arrays, targets: Arrays, knowledge: Arrays) -> tuple[dict[str, float], Arrays]:
        """The loss as of :meth:`step`, and the outputs, [b, c, z, y, x] in [0, 1]; nothing is updated."""
        outputs, truth = self.predict(inputs), self._truth(targets, knowledge)
        pairs = {name: (ops.convert_to_tensor(truth[name]), ops.convert_to_tensor(_last(outputs[name]))) for name in outputs}
        logs = {f"{name}_loss": float(ops.convert_to_numpy(loss(*pairs[name]))) for name, loss in self.model.loss.items()}
        return {"loss": sum(logs.values()), **logs}, outputs

    def predict(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        """The outputs of the heads, [b, c, z, y, x] in [0, 1]."""
        outputs = self.devices.predict(self.model, self._inputs(inputs))
        return {name: np.moveaxis(np.asarray(output), -1, 1) for name, output in outputs.items()}

    def is_finite(self) -> bool:
        """Whether all weights are numbers."""
        return all(bool(np.isfinite(ops.convert_to_numpy(weight)).all()) for weight in self.model.trainable_variables)

    def save(self, directory: str | Path, iteration: int, record: Mapping[str, Any], best: bool = False) -> Path:
        """Write a checkpoint, or the best one; see :mod:`lsd_experiments.checkpoints`."""
        scale = _loss_scale(self.model.optimizer)
        with _own_adam(self.model):
            record, averages = {**record, "loss_scale": scale} if scale else record, None
            if self.average is not None and self.average.steps:
                record, averages = {**record, **self.average.record}, self.average.arrays()
            return checkpoints.save_checkpoint(self.model, directory, self.network, iteration, record, best, averages)

    def _truth(self, targets: Arrays, knowledge: Arrays) -> dict[str, NDArray[np.float32]]:
        return {
            head.name: _last(np.concatenate((targets[head.name], knowledge[head.name]), axis=1, dtype=np.float32))
            for head in self.network.heads
        }

    def _inputs(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        return {source.name: _last(inputs[source.name]) for source in self.network.inputs}


def _with_loss_scale(optimizer: keras.optimizers.Optimizer, precision: str) -> keras.optimizers.Optimizer:
    if precision != "float16":
        return optimizer
    return keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=LOSS_SCALE, dynamic_growth_steps=GROWTH_STEPS)


@contextmanager
def _own_adam(model: keras.Model) -> Iterator[None]:
    """While open, the optimizer is the Adam that a loss scale is wrapped around: checkpoints are alike in all precisions."""
    optimizer = model.optimizer
    model.optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    try:
        yield
    finally:
        model.optimizer = optimizer


def _loss_scale(optimizer: keras.optimizers.Optimizer) -> list[float] | None:
    """The factor, and the steps since it changed; None in other than half precision."""
    if not isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return None
    return [float(ops.convert_to_numpy(value)) for value in (optimizer.dynamic_scale, optimizer.step_counter)]


def _set_loss_scale(optimizer: keras.optimizers.Optimizer, values: Sequence[float] | None) -> None:
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer) and values:
        optimizer.dynamic_scale.assign(values[0])
        optimizer.step_counter.assign(int(values[1]))


def _is_compiled(options: TrainingOptions) -> bool:
    """Whether XLA compiles the step: JAX's way, and TensorFlow's to half precision on a CPU.

    :raises UserError: if the backend has no half precision here
    """
    match keras.backend.backend():
        case "jax":
            return True
        case "tensorflow" if options.precision == "float16":
            import tensorflow as tf

            if tf.config.list_physical_devices("GPU"):
                return False
            if options.devices > 1:
                raise UserError("--precision float16 with --devices: TensorFlow has no half precision on several devices of a "
                                "CPU. Leave one of them out, or set KERAS_BACKEND to jax")
            return True
        case "torch" if options.precision == "float16":
            raise UserError("--precision float16: PyTorch has none here. Take TensorFlow or JAX (KERAS_BACKEND), or bfloat16")
    return False


def _last(array: NDArray[Any]) -> NDArray[np.float32]:
    """[b, c, z, y, x] as [b, z, y, x, c] float32."""
    return np.ascontiguousarray(np.moveaxis(array, 1, -1), dtype=np.float32)
