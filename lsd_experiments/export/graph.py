"""The graph of a network in ONNX, built node by node as :mod:`lsd_experiments.networks.model` builds the Keras model.

Arrays are ``[n, c, z, y, x]`` float32. At legal input shapes no pooling drops a remainder, so that what a crop takes off
depends on the network alone::

    level l, along one axis:   entry -conv-> skip = f * (entry of l + 1)        f: the factor between l and l + 1
                               exit <-conv-  up   = f * (exit of l + 1), or less where a U-Net crops to its stride
                               crop: skip - up    = a constant

One file therefore serves all legal shapes. At any other a concatenation does not fit, and the runtime refuses it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.errors import UserError
from lsd_experiments.export.weights import Weights
from lsd_experiments.networks.layers import entry_up
from lsd_experiments.networks.network import CONVOLUTIONS, LOST, Network

if TYPE_CHECKING:
    import onnx

BATCH, AXES = "n", ("z", "y", "x")  # dimensions that the user of the file chooses
INPUTS = {"raw": "raw scaled to [-1, 1]: uint8 / 127.5 - 1"}
LAST = 2**62  # an index behind all voxels
OTHER_INPUTS = "predicted, in [0, 1]: uint8 / 255"


@dataclass
class _Nodes:
    """The nodes so far, in order of computation, and the constants that they take. A node is named after its output."""

    nodes: "list[onnx.NodeProto]" = field(default_factory=list)
    constants: "list[onnx.TensorProto]" = field(default_factory=list)

    def add(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def constant(self, values: NDArray[Any], name: str) -> str:
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(values, name))
        return name


def onnx_graph(network: Network, weights: Weights, input_shape: Sequence[int] | None = None) -> "onnx.GraphProto":
    """The graph of ``network`` with ``weights`` (of :func:`torch_weights`); inputs and outputs are named as the network's.

    :param input_shape: (z, y, x) in voxels, for a graph of this shape and of one image (default: any legal shape, any n)
    :raises UserError: if ``input_shape`` is not legal, or an output is called as an input
    """
    from onnx import helper

    for name in {source.name for source in network.inputs} & {head.name for head in network.heads}:
        raise UserError(f"'{name}' is an input and a head of this network: in ONNX their names differ. Export to PyTorch")
    batch = BATCH if input_shape is None else 1
    shape_in = AXES if input_shape is None else input_shape
    shape_out = [f"{axis}_out" for axis in AXES] if input_shape is None else network.output_shape(input_shape)
    inputs = [
        _array(source.name, (batch, source.channels, *shape_in), INPUTS.get(source.name, OTHER_INPUTS))
        for source in network.inputs
    ]
    outputs = [_array(head.name, (batch, head.channels, *shape_out), "in [0, 1]") for head in network.heads]
    graph = _Nodes()
    _add_network(graph, network, weights)
    return helper.make_graph(graph.nodes, "unet", inputs, outputs, graph.constants)


def crops(network: Network) -> list[tuple[int, ...]]:
    """Voxels (z, y, x) that come off the skip connection of each level but the lowest, over both sides together."""
    entries, exits = network.level_sizes(network.smallest_input_shape)
    return [
        tuple(e - LOST - size for e, size in zip(entries[level], entry_up(exits[level]), strict=True))
        for level in range(network.levels - 1)
    ]


def up_crops(network: Network) -> list[tuple[int, ...]]:
    """The same of what comes up to each level: 0 but for a U-Net that crops to its stride."""
    _, exits = network.level_sizes(network.smallest_input_shape)
    return [
        tuple(f * below - size for f, below, size in zip(factor, exits[level + 1], entry_up(exits[level]), strict=True))
        for level, factor in enumerate(network.downsample_factors)
    ]


def _array(name: str, shape: Sequence[int | str], values: str) -> "onnx.ValueInfoProto":
    from onnx import TensorProto, helper

    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape, f"[n, c, z, y, x] float32: {values}")


def _add_network(graph: _Nodes, network: Network, weights: Weights) -> None:
    skips = []
    x = _concatenate(graph, [source.name for source in network.inputs], "inputs")

    def convolutions(x: str, name: str) -> str:
        return _convolutions(graph, x, name, weights, network.unet.activation)

    for level, factor in enumerate(network.downsample_factors):
        x = convolutions(x, f"unet_layer_{level}_left")
        skips.append(x)
        x = graph.add("MaxPool", [x], f"unet_down_{level}_to_{level + 1}", kernel_shape=factor, strides=factor)
    x = convolutions(x, f"unet_layer_{network.levels - 1}_left")
    for level in reversed(range(network.levels - 1)):
        factor = network.downsample_factors[level]
        x = _weighted(graph, "ConvTranspose", x, f"unet_up_{level + 1}_to_{level}", weights, strides=factor)
        x = _activation(graph, x, network.unet.up_activation)
        x = _crop(graph, x, up_crops(network)[level], f"unet_up_crop_{level}")
        skip = _crop(graph, skips[level], crops(network)[level], f"unet_crop_{level}")
        x = _concatenate(graph, [skip, x], f"unet_concat_{level}")
        x = convolutions(x, f"unet_layer_{level}_right")
    for head in network.heads:
        logits = _weighted(graph, "Conv", x, f"{head.published_name}_0", weights)
        graph.add("Sigmoid", [logits], head.name)


def _convolutions(graph: _Nodes, x: str, name: str, weights: Weights, activation: str) -> str:
    for index in range(CONVOLUTIONS):
        x = _activation(graph, _weighted(graph, "Conv", x, f"{name}_{index}", weights), activation)
    return x


def _activation(graph: _Nodes, x: str, activation: str | None) -> str:
    if activation is None:
        return x
    output = f"{x}.{activation}"
    if activation == "relu":
        return graph.add("Relu", [x], output)
    assert activation == "relu6", f"{activation} is not written to ONNX"
    bounds = [graph.constant(np.array(value, np.float32), f"{output}.{name}") for name, value in (("min", 0), ("max", 6))]
    return graph.add("Clip", [x, *bounds], output)


def _weighted(graph: _Nodes, kind: str, x: str, name: str, weights: Weights, **attributes: Any) -> str:
    parameters = [graph.constant(weights[key], key) for key in (f"{name}.weight", f"{name}.bias")]
    return graph.add(kind, [x, *parameters], name, kernel_shape=weights[parameters[0]].shape[2:], **attributes)


def _crop(graph: _Nodes, x: str, surplus: Sequence[int], name: str) -> str:
    """The centre of ``x``; of an odd surplus the smaller half comes off the front."""
    if not any(surplus):
        return x
    bounds = {
        "starts": [s // 2 for s in surplus],
        "ends": [s // 2 - s or LAST for s in surplus],  # counted from the end
        "axes": [2, 3, 4],
    }
    names = [graph.constant(np.array(values, np.int64), f"{name}.{key}") for key, values in bounds.items()]
    return graph.add("Slice", [x, *names], name)


def _concatenate(graph: _Nodes, names: list[str], output: str) -> str:
    return names[0] if len(names) == 1 else graph.add("Concat", names, output, axis=1)
