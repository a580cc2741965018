"""Weights in PyTorch's layouts, and their file.

The file is safetensors: tensors by name and a header in JSON. ``safetensors.torch.load_file`` gives a state dict. A ``.pt``
file would be a pickle, which can run code when it is read, and which only PyTorch can write.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import keras

Weights = dict[str, NDArray[np.float32]]

TO_TORCH = (4, 3, 0, 1, 2)  # of both (z, y, x, in, out) and, transposed convolutions, (z, y, x, out, in)


def torch_weights(model: "keras.Model") -> Weights:
    """The weights of ``model`` as a state dict: ``<layer>.weight`` in PyTorch's layout, ``<layer>.bias``; in order."""
    weights: Weights = {}
    for layer in model.layers:
        if layer.weights:
            kernel, bias = (np.asarray(values, np.float32) for values in layer.get_weights())
            weights[f"{layer.name}.weight"] = np.ascontiguousarray(kernel.transpose(TO_TORCH))
            weights[f"{layer.name}.bias"] = bias
    return weights


def write_safetensors(weights: Weights, metadata: Mapping[str, str], path: Path) -> None:
    """Write ``weights`` with ``metadata`` to ``path``."""
    from safetensors.numpy import save

    path.write_bytes(save(weights, metadata=dict(metadata)))  # save_file makes files that only their owner can read
