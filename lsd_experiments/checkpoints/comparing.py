"""Whether a checkpoint is of the network that is asked for, and if not, which layer differs and how."""

import dataclasses
from typing import Any

from lsd_experiments.checkpoints.checkpoint import Checkpoint
from lsd_experiments.errors import UserError
from lsd_experiments.networks.files import DIRECTIONS, to_json
from lsd_experiments.networks.layers import layers
from lsd_experiments.networks.network import Network

WIDTHS = ("num_fmaps", "fmap_inc_factor", "num_fmaps_out")  # what train.py's options change


def require_same_network(
    network: Network,
    checkpoint: Checkpoint,
    remedy: str = "Give the options it was trained with, or train in another directory",
) -> None:
    """Raise a :class:`UserError` that names the first difference between ``network`` and the checkpoint's."""
    asked, found = (canonical(n, checkpoint.published) for n in (network, checkpoint.network))
    here, there = to_json(asked), to_json(found)
    for key, value in here.items():
        if there[key] != value:
            raise UserError(
                f"{checkpoint.path}: holds another architecture: {difference(asked, found)}{key} is {there[key]}, not "
                f"{value}. {remedy}"
            )


def with_widths(network: Network, other: Network) -> Network:
    """``network`` with the feature maps of ``other``."""
    return dataclasses.replace(network, **{key: getattr(other, key) for key in WIDTHS})


def difference(asked: Network, found: Network) -> str:
    """The first layer of which two networks have other weights, as the beginning of a sentence; empty if there is none."""
    here, there = weight_shapes(asked), weight_shapes(found)
    for name in [*here, *there]:
        if here.get(name) != there.get(name):
            return f"{name} is {there.get(name, 'missing')}, not {here.get(name, 'there')}: "
    return ""


def canonical(network: Network, published: bool = True) -> Network:
    """``network`` with one way to say each thing: what is the default is not said, nor what the weights do not depend on.

    :param published: leave out the published names of heads, too; TensorFlow 1's checkpoints have one or the other.
    """
    left_out: dict[str, Any] = {**dict.fromkeys(DIRECTIONS), **({"checkpoint_name": None} if published else {})}
    return dataclasses.replace(
        network,
        num_fmaps_out=None if network.num_fmaps_out == network.num_fmaps else network.num_fmaps_out,
        heads=tuple(dataclasses.replace(head, **left_out) for head in network.heads),
    )


def weight_shapes(network: Network) -> dict[str, tuple[int, ...]]:
    """The shapes of all weights, by ``<layer>/kernel`` and ``<layer>/bias``."""
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in layers(network, network.smallest_input_shape):
        channels = (layer.channels_in, layer.channels_out)
        shapes[f"{layer.name}/kernel"] = (*layer.kernel, *(channels[::-1] if layer.kind == "upsampling" else channels))
        shapes[f"{layer.name}/bias"] = (layer.channels_out,)
    return shapes


def check_weights(model: Any, found: dict[str, tuple[int, ...]], where: str) -> None:
    """Raise a :class:`UserError` that names the first weight of a Keras ``model`` that ``found`` has not, or in another shape.

    :param where: the file, and what else helps to find it.
    """
    for layer in model.layers:
        for name, weight in layer_weights(layer).items():
            if found.get(name) != tuple(weight.shape):
                raise UserError(
                    f"{where}: holds another architecture: layer {layer.name}: its {name.split('/')[1]} is "
                    f"{found.get(name, 'missing')}, the network's is {tuple(weight.shape)}"
                )


def layer_weights(layer: Any) -> dict[str, Any]:
    """The Keras variables of a layer by ``<layer>/kernel`` and ``<layer>/bias``; empty for one without weights."""
    return dict(zip((f"{layer.name}/kernel", f"{layer.name}/bias"), layer.weights, strict=False))
