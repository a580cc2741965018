"""The layers of a network in order of computation: names, shapes, parameters and cost, without TensorFlow."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lsd_experiments.networks.network import CONVOLUTIONS, KERNEL, LOST, Network, Shape


@dataclass(frozen=True)
class Layer:
    """A layer that has weights.

    ``name``: as in the published checkpoints, without their scope. ``kind``: ``convolution``, ``upsampling`` (a
    transposed convolution whose stride is its kernel) or ``head``. ``output_shape``: (z, y, x) in voxels.
    """

    name: str
    kind: str
    kernel: Shape
    channels_in: int
    channels_out: int
    output_shape: Shape

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        return (math.prod(self.kernel) * self.channels_in + 1) * self.channels_out

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one forward pass."""
        per_voxel = 1 if self.kind == "upsampling" else math.prod(self.kernel)  # each upsampled voxel has one source
        return per_voxel * self.channels_in * self.channels_out * math.prod(self.output_shape)


def layers(network: Network, input_shape: Sequence[int]) -> list[Layer]:
    """The layers of ``network`` for a legal ``input_shape``: the way down, the way up, the heads."""
    network.check_input_shape(input_shape)
    return [*_down(network, input_shape), *_up(network, input_shape), *_heads(network, input_shape)]


def parameters(network: Network) -> int:
    """The number of weights and biases."""
    return sum(layer.parameters for layer in layers(network, network.smallest_input_shape))


def gflop(network: Network, input_shape: Sequence[int]) -> float:
    """10^9 floating point operations (two per multiply-add) of one forward pass."""
    return sum(layer.multiply_adds for layer in layers(network, input_shape)) * 2e-9


def _down(network: Network, input_shape: Sequence[int]) -> Iterator[Layer]:
    entries, _ = network.level_sizes(input_shape)
    channels = sum(i.channels for i in network.inputs)
    for level, shape in enumerate(entries):
        yield from _convolutions(f"unet_layer_{level}_left", shape, channels, network.fmaps(level))
        channels = network.fmaps(level)


def _up(network: Network, input_shape: Sequence[int]) -> Iterator[Layer]:
    _, exits = network.level_sizes(input_shape)
    for level in reversed(range(network.levels - 1)):
        factor = network.downsample_factors[level]
        upsampled, above = _scaled(exits[level + 1], factor), network.up_fmaps(level)
        yield Layer(f"unet_up_{level + 1}_to_{level}", "upsampling", factor, network.fmaps(level + 1), above, upsampled)
        fmaps = network.num_fmaps_out if level == 0 and network.num_fmaps_out else network.fmaps(level)
        entry = entry_up(exits[level])
        yield from _convolutions(f"unet_layer_{level}_right", entry, network.fmaps(level) + above, fmaps)


def _heads(network: Network, input_shape: Sequence[int]) -> Iterator[Layer]:
    fmaps = network.num_fmaps_out or network.num_fmaps
    for head in network.heads:
        yield Layer(
            f"{head.published_name}_0", "head", (1, 1, 1), fmaps, head.channels, network.output_shape(input_shape)
        )


def _convolutions(name: str, shape: Shape, channels_in: int, channels_out: int) -> Iterator[Layer]:
    for index in range(CONVOLUTIONS):
        z, y, x = shape
        shape = (z - KERNEL + 1, y - KERNEL + 1, x - KERNEL + 1)
        yield Layer(f"{name}_{index}", "convolution", (KERNEL,) * 3, channels_in, channels_out, shape)
        channels_in = channels_out


def entry_up(exit: Shape) -> Shape:
    """The shape at which a level's convolutions on the way up begin, that end with ``exit``."""
    z, y, x = exit
    return (z + LOST, y + LOST, x + LOST)


def _scaled(shape: Shape, factor: Shape) -> Shape:
    return (shape[0] * factor[0], shape[1] * factor[1], shape[2] * factor[2])
