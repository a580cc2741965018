"""A U-Net drawn sideways in text: each line a level, indented by its depth, the way down first."""

import math
from collections.abc import Iterator, Sequence

from lsd_experiments.networks.layers import Layer, entry_up, gflop, layers, parameters
from lsd_experiments.networks.network import Network, Shape
from lsd_experiments.networks.torch_network import TorchNetwork

INDENT = "    "


def draw(network: Network | TorchNetwork, input_shape: Sequence[int]) -> str:
    """The network for ``input_shape``, layer by layer, with shapes (z, y, x), parameters and GFLOP per block.

    Of a PyTorch module only the line that sums up: its layers are its own.
    """
    z, y, x = network.context
    sizes = f"{_shape(input_shape)} -> {_shape(network.output_shape(input_shape))}, context {z} x {y} x {x}"
    if isinstance(network, TorchNetwork):
        return f"{network.module}: {sizes}, sizes in steps of {_shape(network.stride)}; {network.parameters:,} parameters"
    rows = [*_inputs(network, input_shape), *_body(network, input_shape)]
    width = max(len(left) for left, _ in rows) + 2
    lines = [f"{left:<{width}}{right}".rstrip() for left, right in rows]
    summary = f"{sizes}; {parameters(network):,} parameters; {gflop(network, input_shape):,.1f} GFLOP per block"
    return "\n".join([*lines, summary])


def _inputs(network: Network, input_shape: Sequence[int]) -> Iterator[tuple[str, str]]:
    for source in network.inputs:
        yield f"{source.name} {source.channels} x {_shape(input_shape)}", ""


def _body(network: Network, input_shape: Sequence[int]) -> Iterator[tuple[str, str]]:
    entries, exits = network.level_sizes(input_shape)
    skips: dict[int, Shape] = {}
    for layer in layers(network, input_shape):
        level = _level(layer)
        indent = INDENT * level
        if layer.name.endswith("left_0") and level:
            yield f"{indent}pool {_shape(network.downsample_factors[level - 1])} -> {_shape(entries[level])}", ""
        if layer.name.endswith("left_1"):
            skips[level] = layer.output_shape
        yield f"{indent}{layer.name} -> {layer.channels_out} x {_shape(layer.output_shape)}", _cost(layer)
        if layer.kind == "upsampling":
            entry, channels = entry_up(exits[level]), network.fmaps(level) + layer.channels_out
            up = "" if entry == layer.output_shape else f" and {_shape(layer.output_shape)}"
            yield f"{indent}crop {_shape(skips[level])}{up} and concatenate [left, up] -> {channels} x {_shape(entry)}", ""


def _level(layer: Layer) -> int:
    """The level on which a layer's output lies."""
    parts = layer.name.split("_")
    if layer.kind == "convolution":
        return int(parts[2])
    return int(parts[-1]) if layer.kind == "upsampling" else 0


def _cost(layer: Layer) -> str:
    gflop = layer.multiply_adds * 2e-9
    mebibytes = math.prod(layer.output_shape) * layer.channels_out * 4 / 2**20
    return f"{layer.parameters:>11,} parameters {gflop:>10,.2f} GFLOP {mebibytes:>9,.1f} MiB"


def _shape(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
