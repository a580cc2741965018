"""One block through a network, and the ranges of its arrays: on disk, and in the network."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays import to_unit_range


def predict_block(model: Any, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
    """The outputs of ``model``, a Keras model from ``Network.build``, for one block.

    :param arrays: the inputs by name, [z, y, x] or [c, z, y, x], in the network's range: raw in [-1, 1], LSDs in [0, 1].
    :returns: by head, [c, z, y, x] float32 in [0, 1].
    :raises UserError: if an input is missing, or not of the model's shape.
    """
    from lsd_experiments.networks import keras_model

    return keras_model.predict_block(model, arrays)


def to_network_range(raw: NDArray[Any]) -> NDArray[np.float32]:
    """``raw`` as it is on disk (uint8, uint16, or float in [0, 1]) as float32 in [-1, 1]."""
    values = to_unit_range(raw)
    values *= 2
    values -= 1
    return values


def to_disk_range(prediction: NDArray[np.float32]) -> NDArray[np.uint8]:
    """``prediction`` in [0, 1] as uint8, 255 times it and truncated, as published."""
    return (prediction * np.float32(255)).astype(np.uint8)
