"""The running average of a network's weights, beside the weights themselves in a checkpoint of ours.

The group ``average`` of the file holds an array for each weight, by ``<layer>/kernel`` and ``<layer>/bias``; ``average`` of the
record says its ``decay``, and the ``steps`` after which weights went into it. Keras reads the file as it does one without.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.checkpoints.checkpoint import AVERAGE
from lsd_experiments.checkpoints.comparing import layer_weights

if TYPE_CHECKING:
    import h5py
    import keras

Weights = Mapping[str, NDArray[np.float32]]


def named_weights(model: "keras.Model") -> dict[str, Any]:
    """The Keras variables of a model, by ``<layer>/kernel`` and ``<layer>/bias``."""
    return {name: variable for layer in model.layers for name, variable in layer_weights(layer).items()}


def write_average(file: "h5py.File", weights: Weights) -> None:
    """Into a checkpoint that is being written."""
    for name, values in weights.items():
        file.create_dataset(f"{AVERAGE}/{name}", data=values)


def read_average(path: Path) -> dict[str, NDArray[np.float32]]:
    """The averages of the checkpoint at ``path``, which has some, by their names."""
    import h5py

    with h5py.File(path, "r") as file:
        return {f"{layer}/{what}": np.asarray(values[()], np.float32)
                for layer, group in file[AVERAGE].items() for what, values in group.items()}
