"""A :class:`~lsd_experiments.networks.protocols.Model` of Keras: on TensorFlow, JAX or PyTorch."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from lsd_experiments import checkpoints
from lsd_experiments.networks.network import Network, Shape
from lsd_experiments.networks.protocols import Arrays, Outputs, input_array


@dataclass(frozen=True)
class KerasModel:
    """A ``model`` of ``network`` (from ``Network.build``)."""

    network: Network
    model: keras.Model

    @classmethod
    def build(cls, network: Network, input_shape: Shape, precision: str) -> "KerasModel":
        """For prediction, with fresh weights."""
        _let_gpu_memory_grow()
        return cls(network, network.build(input_shape, precision, quick=True))

    def predict(self, arrays: Arrays) -> Outputs:
        """See :class:`~lsd_experiments.networks.protocols.Model`."""
        return predict_block(self.model, arrays)

    def load(self, path: str | Path, plain: bool = False) -> None:
        """See :class:`~lsd_experiments.networks.protocols.Model`; ``plain``: not averages of weights."""
        checkpoints.load_checkpoint(self.model, path, plain)

    def save(self, directory: str | Path, iteration: int, record: Mapping[str, Any]) -> Path:
        """See :class:`~lsd_experiments.networks.protocols.Model`."""
        return checkpoints.save_checkpoint(self.model, directory, self.network, iteration, record)


def predict_block(model: keras.Model, arrays: Arrays) -> Outputs:
    """See :func:`lsd_experiments.prediction.predict_block`."""
    inputs = {tensor.name: _as_input(tensor.name, tensor.shape[1:], arrays) for tensor in model.inputs}
    outputs = model.predict_on_batch(inputs)
    return {
        name: np.ascontiguousarray(np.moveaxis(np.asarray(output)[0], -1, 0), dtype=np.float32)
        for name, output in outputs.items()
    }


def _as_input(name: str, shape: tuple[int, ...], arrays: Arrays) -> NDArray[np.float32]:
    """The array ``name`` as [1, z, y, x, c]; ``shape`` is that of the model's input, (z, y, x, c)."""
    values = input_array(name, shape[-1], tuple(shape[:-1]), arrays)
    return np.ascontiguousarray(np.moveaxis(values, 0, -1)[None], dtype=np.float32)


def _let_gpu_memory_grow() -> None:
    """Take GPU memory as it is needed, so that workers can share a GPU; JAX is told so by the workers' environment."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with contextlib.suppress(RuntimeError):  # this process has used the GPU before: it is too late, and does no harm
            for gpu in tf.config.list_physical_devices("GPU"):
                tf.config.experimental.set_memory_growth(gpu, True)
