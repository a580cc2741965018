"""The Keras layer, whose results are those of Conv3D up to rounding, and when it pays to take it."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from lsd_experiments.winograd.convolution import convolve, input_gradient, kernel_gradient

WIDE = 32  # channels, in and out, from which on it is faster
HIGHEST = {"relu": math.inf, "relu6": 6.0}  # that an activation lets through
LARGE = 2048  # voxels of output, from which on it is worth to transform the kernel

Floats = NDArray[np.float32]


def pays(input_shape: Sequence[int], channels_out: int, policy: str) -> bool:
    """Whether to take :class:`WinogradConv3D` for ``input_shape`` (z, y, x, c): if wide, on a CPU, by TensorFlow, in float32."""
    *shape, channels_in = input_shape
    if keras.backend.backend() != "tensorflow" or policy != "float32" or min(channels_in, channels_out) < WIDE:
        return False
    import tensorflow as tf

    return math.prod(size - 2 for size in shape) >= LARGE and not tf.config.list_physical_devices("GPU")


class WinogradConv3D(keras.layers.Conv3D):
    """A valid 3 x 3 x 3 convolution with ``relu`` or ``relu6``."""

    def __init__(self, filters: int, activation: str = "relu", **arguments: Any) -> None:
        super().__init__(filters, 3, activation=activation, **arguments)
        self.most = HIGHEST[activation]
        self.supports_jit = False

    def call(self, inputs: Any) -> Any:
        """[b, z, y, x, in] to [b, z - 2, y - 2, x - 2, out]."""
        import tensorflow as tf

        @tf.custom_gradient  # type: ignore[untyped-decorator]
        def convolution(inputs: Any, kernel: Any, bias: Any) -> Any:
            outputs = tf.numpy_function(_forward, [inputs, kernel, bias, self.most], tf.float32, stateful=False)
            outputs = tf.ensure_shape(outputs, self.compute_output_shape(inputs.shape))

            def backward(gradient: Any) -> Any:
                known = [inputs, kernel, outputs, gradient, self.most]
                found = tf.numpy_function(_backward, known, [tf.float32] * 3, stateful=False)
                return [tf.ensure_shape(one, of.shape) for one, of in zip(found, (inputs, kernel, bias), strict=True)]

            return outputs, backward

        return convolution(inputs, *map(keras.ops.convert_to_tensor, (self.kernel, self.bias)))


WinogradConv3D.__name__ = "Conv3D"  # Keras' files of weights count layers by the names of their classes


def _forward(inputs: Floats, kernel: Floats, bias: Floats, most: float) -> Floats:
    made = [convolve(one, kernel, bias) for one in inputs]
    if most < math.inf:
        for outputs in made:
            np.minimum(outputs, np.float32(most), out=outputs)
    return made[0][None] if len(made) == 1 else np.stack(made)


def _backward(
    inputs: Floats, kernel: Floats, outputs: Floats, gradient: Floats, most: float
) -> tuple[Floats, Floats, Floats]:
    """The gradients by inputs, kernel and bias."""
    gradient = gradient * ((outputs > 0) & (outputs < most))
    by_kernel = [kernel_gradient(one, to) for one, to in zip(inputs, gradient, strict=True)]
    by_bias = gradient.sum(axis=(2, 3)).sum(axis=(0, 1), dtype=np.float64).astype(np.float32)
    return np.stack([input_gradient(one, kernel) for one in gradient]), sum(by_kernel[1:], by_kernel[0]), by_bias
