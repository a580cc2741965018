"""The MALIS loss in Keras, on any of its backends: ``sum(w * (prediction - target)^2)``, with weights found on the host.

The weights are constants to the gradient: MALIS moves the edges of the spanning tree, and does not ask which others
would become its edges if it moved them further.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from lsd_experiments.datasets.dataset import Offsets
from lsd_experiments.malis import edge_weights


def malis_error(neighborhood: Offsets) -> Callable[[Any, Any], Any]:
    """The loss of an affinity head; its truth: targets, the edges' mask, and the connected objects, on the last axis."""
    channels = len(neighborhood)

    def weights(known: Any, prediction: Any) -> NDArray[np.float32]:
        affs, mask_and_objects = (np.moveaxis(np.asarray(array), -1, 1) for array in (prediction, known))
        return np.ascontiguousarray(np.moveaxis(edge_weights(affs, mask_and_objects, neighborhood), 1, -1))

    def error(truth: Any, prediction: Any) -> Any:
        targets, known = truth[..., :channels], truth[..., channels:]
        return ops.sum(on_host(weights, known, prediction) * ops.square(prediction - targets))

    return error


def on_host(function: Callable[..., NDArray[np.float32]], *tensors: Any) -> Any:
    """``function`` of NumPy arrays of the values of ``tensors``: a constant of the shape and type of the last of them."""
    last = tensors[-1]
    match keras.backend.backend():
        case "tensorflow":
            import tensorflow as tf

            result = tf.numpy_function(function, tensors, last.dtype)
            result.set_shape(last.shape)
            return result
        case "jax":
            import jax

            shape = jax.ShapeDtypeStruct(last.shape, last.dtype)
            return jax.pure_callback(function, shape, *(jax.lax.stop_gradient(tensor) for tensor in tensors))
        case "torch":
            import torch

            values = function(*(tensor.detach().cpu().numpy() for tensor in tensors))
            return torch.from_numpy(values).to(last.device)
    raise AssertionError(f"no way to the host from {keras.backend.backend()}")
