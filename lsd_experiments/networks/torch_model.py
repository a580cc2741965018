"""A :class:`~lsd_experiments.networks.protocols.Model` of PyTorch: on a GPU if there is one, else on the CPU."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lsd_experiments.checkpoints import torch_weights
from lsd_experiments.errors import UserError
from lsd_experiments.networks.protocols import Arrays, Outputs, input_array
from lsd_experiments.networks.shapes import Shape
from lsd_experiments.networks.torch_network import TorchNetwork, as_heads, load_module, require_torch


@dataclass(frozen=True)
class TorchModel:
    """A ``module`` of ``network`` for one input shape (z, y, x), with convolutions in ``precision``."""

    network: TorchNetwork
    module: Any
    input_shape: Shape
    precision: str = "float32"

    @classmethod
    def build(cls, network: TorchNetwork, directory: str | Path, input_shape: Shape, precision: str) -> "TorchModel":
        """The module of the setup in ``directory``, with the weights that it comes with."""
        torch = require_torch()
        network.check_input_shape(input_shape)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        return cls(network, load_module(network.module, directory).to(device), input_shape, precision)

    def predict(self, arrays: Arrays) -> Outputs:
        """See :class:`~lsd_experiments.networks.protocols.Model`."""
        torch = require_torch()
        device = next((parameter.device for parameter in self.module.parameters()), torch.device("cpu"))
        inputs = [self._input(source.name, source.channels, arrays).to(device) for source in self.network.inputs]
        reduced = torch.autocast(device.type, dtype=torch.bfloat16, enabled=self.precision == "bfloat16")
        # The same sums each time, so that blocks that are done again are what they were.
        with torch.inference_mode(), reduced, torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
            outputs = as_heads(self.network, self.module(*inputs))
        return {name: _in_range(self.network.module, name, output[0].float().cpu().numpy()) for name, output in outputs.items()}

    def load(self, path: str | Path) -> None:
        """See :class:`~lsd_experiments.networks.protocols.Model`."""
        torch_weights.load_weights(self.module, Path(path))

    def save(self, directory: str | Path, iteration: int, record: Mapping[str, Any]) -> Path:
        """See :class:`~lsd_experiments.networks.protocols.Model`."""
        return torch_weights.save_weights(self.module, directory, self.network, iteration, record)

    def _input(self, name: str, channels: int, arrays: Arrays) -> Any:
        values = input_array(name, channels, self.input_shape, arrays)
        return require_torch().from_numpy(np.ascontiguousarray(values[None], dtype=np.float32))


def _in_range(module: str, name: str, output: Any) -> Any:
    """:raises UserError: if ``output`` is not in [0, 1], as which it is stored."""
    low, high = float(output.min()), float(output.max())
    if not (low >= 0 and high <= 1):
        raise UserError(f"{module}: '{name}' is from {low:g} to {high:g}, not within 0 and 1. Let the module end with a sigmoid")
    return output
