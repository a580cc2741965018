"""Data-parallel training: each device takes its share of a batch's samples, and all take the same step.

The loss of a batch is the mean of its samples' losses, so that the step is that of one device with the whole batch.
"""

import contextlib
import logging
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.errors import UserError

logger = logging.getLogger(__name__)
Arrays = Mapping[str, NDArray[Any]]


class Devices(Protocol):
    """Where a model is trained."""

    def scope(self) -> AbstractContextManager[Any]:
        """Open it while the model is built and compiled."""

    def step(self, model: Any, inputs: Arrays, truth: Arrays) -> dict[str, Any]:
        """Update the weights; the loss before that, in all and of each head of several (``loss``, ``<head>_loss``)."""

    def predict(self, model: Any, inputs: Arrays) -> dict[str, Any]:
        """The outputs."""


class KerasDevices:
    """One device; or several of JAX, among which Keras shares each batch once :func:`find_devices` told it to."""

    def scope(self) -> AbstractContextManager[Any]:
        """Nothing to open."""
        return contextlib.nullcontext()

    def step(self, model: Any, inputs: Arrays, truth: Arrays) -> dict[str, Any]:
        """See :class:`Devices`."""
        logs: dict[str, Any] = model.train_on_batch(inputs, truth, return_dict=True)
        return logs

    def predict(self, model: Any, inputs: Arrays) -> dict[str, Any]:
        """See :class:`Devices`."""
        outputs: dict[str, Any] = model.predict_on_batch(inputs)
        return outputs


class TensorFlowDevices:
    """Several devices of TensorFlow, each with a copy of the weights."""

    def __init__(self, names: list[str]) -> None:
        import tensorflow as tf

        self.strategy = tf.distribute.MirroredStrategy(names)
        self.compiled: tuple[Any, Any] = None, None  # the losses, and the step with them

    def scope(self) -> AbstractContextManager[Any]:
        """In which variables are made for all devices."""
        scope: AbstractContextManager[Any] = self.strategy.scope()
        return scope

    def step(self, model: Any, inputs: Arrays, truth: Arrays) -> dict[str, Any]:
        """See :class:`Devices`."""
        if self.compiled[0] is not model.loss:
            self.compiled = model.loss, self._step(model)
        shared = [{name: self._share(array) for name, array in arrays.items()} for arrays in (inputs, truth)]
        logs: dict[str, Any] = self.compiled[1](*shared)
        return logs

    def predict(self, model: Any, inputs: Arrays) -> dict[str, Any]:
        """See :class:`Devices`; by the first of them."""
        outputs: dict[str, Any] = model(inputs, training=False)
        return outputs

    def _share(self, array: NDArray[Any]) -> Any:
        """Each device's samples."""
        n = self.strategy.num_replicas_in_sync
        return self.strategy.experimental_distribute_values_from_function(
            lambda context: np.split(array, n)[context.replica_id_in_sync_group]
        )

    def _step(self, model: Any) -> Any:
        import tensorflow as tf

        n, optimizer, variables = self.strategy.num_replicas_in_sync, model.optimizer, model.trainable_variables
        losses = dict(model.loss)

        def own(inputs: Any, truth: Any) -> dict[str, Any]:
            with tf.GradientTape() as tape:
                outputs = model(inputs, training=True)
                found = {f"{name}_loss": loss(truth[name], outputs[name]) for name, loss in losses.items()}
                total = sum(found.values())
                scaled = optimizer.scale_loss(total / n)
            # Their sum at each device, so that all see alike if one is not finite; the optimizer adds them up again.
            reduced = tf.distribute.get_replica_context().all_reduce("SUM", tape.gradient(scaled, variables))
            optimizer.apply_gradients(zip([gradient / n for gradient in reduced], variables, strict=True))
            return {**found, "loss": total}

        @tf.function  # type: ignore[untyped-decorator]
        def step(inputs: Any, truth: Any) -> dict[str, Any]:
            found = self.strategy.run(own, args=(inputs, truth))
            return {name: self.strategy.reduce("MEAN", value, axis=None) for name, value in found.items()}

        return step


def prepare_backend(devices: int) -> None:
    """To be called before Keras is imported: JAX has as many logical devices on a CPU as it was told by then."""
    if devices > 1:
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} --xla_force_host_platform_device_count={devices}".strip()


def find_devices(number: int) -> Devices:
    """The first ``number`` GPUs; where there is none, as many logical devices of the CPU, which is no faster.

    :raises UserError: if there are fewer GPUs, or the backend trains on one device only
    """
    import keras

    if number == 1:
        return KerasDevices()
    match keras.backend.backend():
        case "tensorflow":
            return TensorFlowDevices(_tensorflow_devices(number))
        case "jax":
            devices = keras.distribution.list_devices()
            _check(number, len(devices))
            keras.distribution.set_distribution(keras.distribution.DataParallel(devices=devices[:number]))
            return KerasDevices()
    raise UserError(f"--devices {number}: {keras.backend.backend()} trains on one here. Set KERAS_BACKEND to tensorflow or jax")


def _tensorflow_devices(number: int) -> list[str]:
    import tensorflow as tf

    gpus = tf.config.list_logical_devices("GPU") if tf.config.list_physical_devices("GPU") else []
    if gpus:
        _check(number, len(gpus))
        return [gpu.name for gpu in gpus[:number]]
    logger.warning("--devices %d: there is no GPU, so that logical devices of the CPU stand in, which is no faster", number)
    cpu, *_ = tf.config.list_physical_devices("CPU")
    if len(tf.config.get_logical_device_configuration(cpu) or [None]) < number:
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * number)
    return [device.name for device in tf.config.list_logical_devices("CPU")[:number]]


def _check(asked: int, found: int) -> None:
    if found < asked:
        raise UserError(f"--devices {asked}: this machine has {found} that the backend can use. Ask for at most {found}")
