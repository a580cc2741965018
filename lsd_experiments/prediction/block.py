"""One block through a network."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

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


def _as_input(name: str, shape: tuple[int, ...], arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
    """The array as [1, z, y, x, c]."""
    if name not in arrays:
        raise UserError(f"the network takes '{name}'; given: {', '.join(arrays) or 'nothing'}")
    values = arrays[name]
    values = values[None] if values.ndim == 3 else values
    expected = (shape[-1], *shape[:-1])
    if values.shape != expected:
        raise UserError(
            f"'{name}' has shape {values.shape}; the network takes {expected}, or the same without channels if that is 1"
        )
    return np.ascontiguousarray(np.moveaxis(values, 0, -1)[None], dtype=np.float32)
