"""Trained networks for other software: as PyTorch weights (safetensors) and as ONNX.

Both hold float32 weights in PyTorch's layouts, ``[out, in, z, y, x]`` and, of a transposed convolution,
``[in, out, z, y, x]``, under the layers' published names: ``unet_layer_0_left_0.weight``, ``.bias``. Arrays of the
exported networks are ``[n, c, z, y, x]``; raw is in [-1, 1], LSDs and outputs are in [0, 1]. docs/checkpoints.md says how to
use the files.
"""

from lsd_experiments.export.exporting import export_checkpoint, target
from lsd_experiments.export.weights import torch_weights

__all__ = ["export_checkpoint", "target", "torch_weights"]
