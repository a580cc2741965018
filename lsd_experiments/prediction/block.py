"""One block through a network, and the ranges of its arrays: on disk, and in the network."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays import to_unit_range
from lsd_experiments.errors import UserError

if TYPE_CHECKING:
    import keras


def predict_block(model: "keras.Model", arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
    """The outputs of ``model`` (from ``Network.build``) for one block.

    :param arrays: the inputs by name, [z, y, x] or [c, z, y, x], in the network's range: raw in [-1, 1], LSDs in [0, 1].
    :returns: by head, [c, z, y, x] float32 in [0, 1].
    :raises UserError: if an input is missing, or not of the model's shape.
    """
    inputs = {tensor.name: _as_input(tensor.name, tensor.shape[1:], arrays) for tensor in model.inputs}
    outputs = model.predict_on_batch(inputs)
    return {
        name: np.ascontiguousarray(np.moveaxis(np.asarray(output)[0], -1, 0), dtype=np.float32)
        for name, output in outputs.items()
    }


def to_network_range(raw: NDArray[Any]) -> NDArray[np.float32]:
    """``raw`` as it is on disk (uint8, uint16, or float in [0, 1]) as float32 in [-1, 1]."""
    values = to_unit_range(raw)
    values *= 2
    values -= 1
    return values


def to_disk_range(prediction: NDArray[np.float32]) -> NDArray[np.uint8]:
    """``prediction`` in [0, 1] as uint8, 255 times it and truncated, as published."""
    return (prediction * np.float32(255)).astype(np.uint8)


def _as_input(name: str, shape: tuple[int, ...], arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
    """The array ``name`` as [1, z, y, x, c]; ``shape`` is that of the model's input, (z, y, x, c)."""
    if name not in arrays:
        raise UserError(f"the network takes '{name}'; given: {', '.join(arrays) or 'nothing'}")
    values = arrays[name]
    channels, spatial = shape[-1], tuple(shape[:-1])
    expected = [spatial, (1, *spatial)] if channels == 1 else [(channels, *spatial)]
    if values.shape not in expected:
        raise UserError(f"'{name}' has shape {values.shape}; the network takes {' or '.join(map(str, expected))}")
    channels_last = np.moveaxis(values.reshape(channels, *spatial), 0, -1)
    return np.ascontiguousarray(channels_last[None], dtype=np.float32)
