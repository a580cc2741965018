"""A Keras layer for prediction on CPUs: Conv3D whose wide convolutions take Winograd's way, with equal results up to rounding."""

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from lsd_experiments.networks.convolution import convolve

WIDE = 32  # channels, in and out, from which on it is faster


def is_quick(channels_in: int, channels_out: int, policy: str) -> bool:
    """Whether :class:`QuickConv3D` is what to take: on a CPU, under TensorFlow, in float32, if there are enough channels."""
    if keras.backend.backend() != "tensorflow" or policy != "float32" or min(channels_in, channels_out) < WIDE:
        return False
    import tensorflow as tf

    return not tf.config.list_physical_devices("GPU")


class QuickConv3D(keras.layers.Conv3D):
    """A valid 3 x 3 x 3 convolution with ReLU; it has no gradient."""

    def __init__(self, filters: int, **arguments: Any) -> None:
        super().__init__(filters, 3, activation="relu", **arguments)
        self.supports_jit = False

    def call(self, inputs: Any) -> Any:
        """[b, z, y, x, in] to [b, z - 2, y - 2, x - 2, out]."""
        import tensorflow as tf

        outputs = tf.numpy_function(_convolve_all, [inputs, self.kernel, self.bias], tf.float32, stateful=False)
        return tf.ensure_shape(outputs, self.compute_output_shape(inputs.shape))


QuickConv3D.__name__ = "Conv3D"  # Keras' files of weights count layers by the names of their classes


def _convolve_all(inputs: NDArray[np.float32], kernel: NDArray[np.float32], bias: NDArray[np.float32]) -> NDArray[np.float32]:
    if len(inputs) == 1:
        return convolve(inputs[0], kernel, bias)[None]
    return np.stack([convolve(one, kernel, bias) for one in inputs])
