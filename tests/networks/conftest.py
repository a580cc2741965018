"""The U-Nets of mala and of funlib.learn in NumPy, from their description, for whatever weights."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from lsd_experiments import frameworks
from lsd_experiments.networks import Head, Input, Network

frameworks.import_keras()

TWO_INPUTS = Network(
    2, 2, ((1, 2, 3), (2, 2, 1)), (Head("lsds", 4, "embedding"), Head("affs", 3)), 3, (Input("raw"), Input("lsds", 2))
)  # small, of no two axes alike


OF_FUNLIB = replace(TWO_INPUTS, architecture="funlib")


@pytest.fixture(params=[TWO_INPUTS, OF_FUNLIB], ids=["mala", "funlib"])
def network(request):
    return request.param


@pytest.fixture(scope="session")
def unet():
    return numpy_unet


def numpy_unet(network, weights, inputs):
    """The heads' outputs, [c, z, y, x].

    :param weights: (kernel, bias) by layer, kernels (z, y, x, in, out), of upsampling (z, y, x, out, in).
    :param inputs: [c, z, y, x] each, in the network's order.
    """
    is_mala = network.architecture == "mala"

    def conv_pass(f, name):
        for i in range(2):
            f = np.clip(convolve(f, *weights[f"{name}_{i}"]), 0, None if is_mala else 6)
        return f

    def level(f, number):
        left = conv_pass(f, f"unet_layer_{number}_left")
        if number == network.levels - 1:
            return left
        below = level(pool(left, network.downsample_factors[number]), number + 1)
        up = upsample(below, *weights[f"unet_up_{number + 1}_to_{number}"])
        up = relu(up) if is_mala else crop_to_factor(up, network.downsample_factors[number:])
        offset = [(a - b) // 2 for a, b in zip(left.shape[1:], up.shape[1:], strict=True)]
        cropped = left[:, *(slice(o, o + s) for o, s in zip(offset, up.shape[1:], strict=True))]
        return conv_pass(np.concatenate([cropped, up]), f"unet_layer_{number}_right")

    f = level(np.concatenate(inputs), 0)
    return {
        head.name: 1 / (1 + np.exp(-convolve(f, *weights[f"{head.published_name}_0"]))) for head in network.heads
    }


def crop_to_factor(f, factors):
    """The centre of ``f`` that two convolutions of 3 x 3 x 3 bring to a multiple of the factors' product."""
    stride = np.prod(factors, axis=0)
    sizes = [4 + (size - 4) // step * step for size, step in zip(f.shape[1:], stride, strict=True)]
    begin = [(a - b) // 2 for a, b in zip(f.shape[1:], sizes, strict=True)]
    return f[:, *(slice(b, b + size) for b, size in zip(begin, sizes, strict=True))]


def relu(f):
    return np.maximum(f, 0)


def convolve(f, kernel, bias):
    """A valid convolution (cross-correlation, as all frameworks call it)."""
    sizes = [s - k + 1 for s, k in zip(f.shape[1:], kernel.shape[:3], strict=True)]
    out = bias[:, None, None, None] * np.ones((1, *sizes))
    for offset in product(*map(range, kernel.shape[:3])):
        window = f[:, *(slice(o, o + s) for o, s in zip(offset, sizes, strict=True))]
        out = out + np.einsum("io,izyx->ozyx", kernel[offset], window)
    return out


def pool(f, factor):
    """Maximum pooling; a remainder is dropped."""
    sizes = [s // k for s, k in zip(f.shape[1:], factor, strict=True)]
    parts = [
        f[:, *(slice(o, o + n * k, k) for o, n, k in zip(offset, sizes, factor, strict=True))]
        for offset in product(*map(range, factor))
    ]
    return np.max(parts, axis=0)


def upsample(f, kernel, bias):
    """A transposed convolution whose stride is its kernel: each voxel becomes a block."""
    factor = kernel.shape[:3]
    out = np.empty((kernel.shape[3], *(s * k for s, k in zip(f.shape[1:], factor, strict=True))))
    for offset in product(*map(range, factor)):
        out[:, *(slice(o, None, k) for o, k in zip(offset, factor, strict=True))] = np.einsum(
            "oi,izyx->ozyx", kernel[offset], f
        )
    return out + bias[:, None, None, None]
