"""``train_net.json`` and ``config.json``: a network and the input shape that it is used with.

The keys that users of the published code know (``input_shape``, ``output_shape``, ``outputs``) keep their meaning; the
network itself takes the place of the tensor names of a TensorFlow 1 graph. Shapes in the file are written for people:
they are computed again when it is read.
"""

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lsd_experiments.errors import UserError, nearest
from lsd_experiments.networks.network import Head, Input, Network, Shape
from lsd_experiments.networks.torch_network import TorchNetwork

DIRECTIONS = ("neighborhood", "target")  # of a head: what its channels are


@dataclass(frozen=True)
class NetworkFile:
    """What a network file says: the network, and the input shape (z, y, x) in voxels."""

    network: Network
    input_shape: Shape


def write(network: Network | TorchNetwork, name: str, input_shape: Sequence[int], directory: str | Path = ".") -> None:
    """Print ``network`` sideways, layer by layer, and write it to ``<name>.json``.

    :raises UserError: if ``input_shape`` (z, y, x) is not legal, or the module of a TorchNetwork does not fit its description.
    """
    from lsd_experiments.networks.drawing import draw

    if isinstance(network, TorchNetwork):
        network = network.with_shapes(directory, input_shape)
    output_shape = network.output_shape(input_shape)
    values = {
        "input_shape": list(input_shape),
        "output_shape": list(output_shape),
        "outputs": {head.name: {"out_dims": head.predicted_channels, "out_dtype": "uint8"} for head in network.heads},
        "network": to_json(network),
    }
    path = Path(directory) / f"{name}.json"
    print(f"{path}\n{draw(network, input_shape)}\n")
    beside = path.with_suffix(f".json.{os.getpid()}")
    beside.write_text(json.dumps(values, indent=2) + "\n")
    beside.replace(path)


def read(path: str | Path) -> NetworkFile:
    """Read a file of a U-Net, that :func:`write` wrote.

    :raises UserError: if it is missing, not such a file, of a PyTorch module, or its input shape is not legal.
    """
    network, input_shape = read_any(path)
    if isinstance(network, TorchNetwork):
        raise UserError(f"{path}: is of a PyTorch module, {network.module}, which can be predicted with, and nothing else")
    return NetworkFile(network, input_shape)


def read_any(path: str | Path) -> tuple[Network | TorchNetwork, Shape]:
    """As :func:`read`, of any network; what a TorchNetwork does not state is probed."""
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file. Run mknet.py in {path.resolve().parent} first")
    try:
        values = json.loads(path.read_text())
        found = values["network"]
        network = TorchNetwork.from_json(found) if "module" in found else from_json(found)
        z, y, x = (int(size) for size in values["input_shape"])
        if isinstance(network, Network):
            network.check_input_shape((z, y, x))
    except (ValueError, KeyError, TypeError, RecursionError, UserError) as error:
        raise UserError(f"{path}: is not a network file ({_what(error)}). Run mknet.py again") from error
    if isinstance(network, TorchNetwork):
        network = network.with_shapes(path.parent, (z, y, x))
        network.check_input_shape((z, y, x))
    return network, (z, y, x)


def _what(error: Exception) -> str:
    return f"'{error.args[0]}' is missing" if isinstance(error, KeyError) else str(error)


def to_json(network: Network | TorchNetwork) -> dict[str, Any]:
    """``network`` as JSON values."""
    heads = [head_to_json(head) for head in network.heads]
    values: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(network) | {"heads": heads}))
    return values


def head_to_json(head: Head) -> dict[str, Any]:
    """``head`` as in :func:`to_json`; without what is not said of its channels' directions, as it was before that could be."""
    return {key: value for key, value in dataclasses.asdict(head).items() if key not in DIRECTIONS or value is not None}


def from_json(values: Mapping[str, Any]) -> Network:
    """The network of which :func:`to_json` gave ``values``; an unknown key is a ValueError."""
    known = [field.name for field in dataclasses.fields(Network)]
    for key in values:
        if key not in known:
            raise ValueError(f"unknown key '{key}'{nearest(key, known)}")
    return Network(
        **{
            **values,
            "downsample_factors": tuple(tuple(factor) for factor in values["downsample_factors"]),
            "heads": tuple(Head(**head) for head in values["heads"]),
            "inputs": tuple(Input(**source) for source in values["inputs"]),
        }
    )
