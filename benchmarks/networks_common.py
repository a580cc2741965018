"""What the benchmarks of networks share: the published networks and shapes, weights for both sides, and the network in PyTorch.

Weights are drawn as wide as trained ones, so that activations neither vanish nor saturate; both sides get the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from lsd_experiments import frameworks
from lsd_experiments.networks import Head, Network
from lsd_experiments.networks.layers import layers

NETWORKS = {  # the published MTLSD networks
    "zebrafinch": Network(
        12, 5, ((1, 3, 3), (1, 3, 3), (3, 3, 3)), (Head("lsds", 10, "embedding"), Head("affs", 3)), num_fmaps_out=14
    ),
    "fib25": Network(12, 6, ((2, 2, 2), (2, 2, 2), (3, 3, 3)), (Head("lsds", 10), Head("affs", 3)), num_fmaps_out=14),
}
BLOCKS = {"zebrafinch": (96, 484, 484), "fib25": (268, 268, 268)}  # input shapes of prediction
TRAINING = (84, 268, 268)  # of training, zebrafinch
TO_KERAS = (2, 3, 4, 1, 0)  # both of [out, in, z, y, x] and, transposed convolutions, [in, out, z, y, x]


def draw_raw(shape: tuple[int, int, int]) -> np.ndarray:
    """[z, y, x] float32 in [-1, 1]."""
    return np.random.default_rng(0).random(shape, np.float32) * 2 - 1


def draw_weights(network: Network) -> dict[str, np.ndarray]:
    """``<layer>.weight`` in PyTorch's layout, ``<layer>.bias``."""
    random, weights = np.random.default_rng(1), {}
    for layer in layers(network, network.smallest_input_shape):
        up = layer.kind == "upsampling"
        channels = (layer.channels_in, layer.channels_out) if up else (layer.channels_out, layer.channels_in)
        inputs = layer.channels_in * (1 if up else np.prod(layer.kernel))
        values = random.standard_normal((*channels, *layer.kernel), np.float32)
        weights[f"{layer.name}.weight"] = values * np.float32((2 / inputs) ** 0.5)
        weights[f"{layer.name}.bias"] = random.standard_normal(layer.channels_out, np.float32) * np.float32(0.1)
    return weights


def set_weights(model: Any, network: Network) -> Any:
    """The Keras ``model`` with the drawn weights."""
    weights = draw_weights(network)
    for layer in layers(network, network.smallest_input_shape):
        kernel, bias = weights.pop(f"{layer.name}.weight"), weights.pop(f"{layer.name}.bias")
        model.get_layer(layer.name).set_weights([kernel.transpose(TO_KERAS), bias])
    return model


def torch_network(network: Network) -> Any:
    """``network`` as a PyTorch module with the drawn weights; arrays are [n, c, z, y, x]."""
    import torch
    from torch.nn import functional

    class UNet(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for layer in layers(network, network.smallest_input_shape):
                up = layer.kind == "upsampling"
                kind = torch.nn.ConvTranspose3d if up else torch.nn.Conv3d
                arguments = {"stride": layer.kernel} if up else {}
                self.add_module(layer.name, kind(layer.channels_in, layer.channels_out, layer.kernel, **arguments))

        def forward(self, x: Any) -> dict[str, Any]:
            skips = []
            for level, factor in enumerate(network.downsample_factors):
                x = self.convolutions(x, f"unet_layer_{level}_left")
                skips.append(x)
                x = functional.max_pool3d(x, factor)
            x = self.convolutions(x, f"unet_layer_{network.levels - 1}_left")
            for level in reversed(range(network.levels - 1)):
                x = functional.relu(getattr(self, f"unet_up_{level + 1}_to_{level}")(x), inplace=True)
                x = torch.cat([_centre(skips.pop(), x.shape), x], 1)
                x = self.convolutions(x, f"unet_layer_{level}_right")
            return {head.name: torch.sigmoid(getattr(self, f"{head.published_name}_0")(x)) for head in network.heads}

        def convolutions(self, x: Any, name: str) -> Any:
            for index in range(2):
                x = functional.relu(getattr(self, f"{name}_{index}")(x), inplace=True)
            return x

    module = UNet()
    module.load_state_dict({name: torch.from_numpy(values) for name, values in draw_weights(network).items()})
    return module


def _centre(x: Any, shape: Any) -> Any:
    for axis in (2, 3, 4):
        x = x.narrow(axis, (x.shape[axis] - shape[axis]) // 2, shape[axis])
    return x


def matrix_product(framework: str, size: int = 4096) -> Callable[[], float]:
    """A candidate's call that multiplies matrices of ``size`` in float32, and returns the floating point operations."""
    a, b = (np.random.default_rng(seed).random((size, size), np.float32) for seed in (0, 1))
    product: Callable[[], Any] = lambda: a @ b  # noqa: E731
    if framework == "TensorFlow":
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
        with frameworks.silence():
            import tensorflow as tf

        x, y = tf.constant(a), tf.constant(b)
        product = lambda: tf.matmul(x, y).numpy()  # noqa: E731
    product()

    def call() -> float:
        for _ in range(3):
            product()
        return 3 * 2.0 * size**3

    return call


def machine_rate(repeat: int, threads: int) -> tuple[float, float]:
    """GFLOP/s of float32 matrix products by ``threads`` threads: by the clock, and per second of CPU time; the best."""
    from common import take_turns

    runs = take_turns({name: (matrix_product, name) for name in ("NumPy", "TensorFlow")}, repeat, threads)
    return (max(run.result / run.wall for run in runs.values()) / 1e9,
            max(run.result / run.cpu for run in runs.values()) / 1e9)
