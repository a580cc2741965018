"""A network of a configuration with weights, as a model of the ground: images in, the heads in [0, 1] out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lsd_experiments.errors import UserError
from lsd_experiments.families.pytc import checkpoints
from lsd_experiments.families.pytc.configuration import Config
from lsd_experiments.families.pytc.inference.heads import channel_slices, heads_of
from lsd_experiments.families.pytc.networks.building import is_flat
from lsd_experiments.networks.protocols import Arrays, Outputs, input_array

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda x: x, "sigmoid": torch.sigmoid, "tanh": lambda x: (torch.tanh(x) + 1) / 2,
    "softmax": lambda x: torch.softmax(x, dim=1), "relu": torch.relu, "elu": nn.functional.elu,
}


@dataclass(frozen=True)
class PytcModel:
    """``network`` on its device, in evaluation; its input is called ``raw``."""

    config: Config
    network: nn.Module

    @classmethod
    def read(cls, config: Config, path: str | Path, allow_partial: bool = False) -> "PytcModel":
        """With the weights of the checkpoint ``path``, on a GPU if there is one.

        :raises UserError: if it is damaged or of another network
        """
        network = checkpoints.for_inference(config, checkpoints.read(path), allow_partial)
        return cls(config, network.to("cuda" if torch.cuda.is_available() else "cpu"))

    @cached_property
    def _slices(self) -> dict[str, slice]:
        return channel_slices(heads_of(self.config))

    def predict(self, arrays: Arrays) -> Outputs:
        """See :class:`~lsd_experiments.networks.protocols.Model`; of blocks of any size."""
        return self.predict_all([arrays])[0]

    def predict_all(self, several: Sequence[Arrays]) -> list[Outputs]:
        """Of several blocks of one shape, in one batch."""
        shape = several[0]["raw"].shape[-3:] if "raw" in several[0] else ()
        raw = np.stack([input_array("raw", self.config.MODEL.IN_PLANES, shape, arrays) for arrays in several])
        device = next(self.network.parameters()).device
        reduced = torch.autocast(device.type, enabled=self.config.MODEL.MIXED_PRECESION and device.type == "cuda")
        with torch.inference_mode(), reduced, torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
            found = self._run(torch.from_numpy(np.ascontiguousarray(raw, np.float32)).to(device)).float()
            parts = {name: self._activated(number, found[:, channels]).cpu().numpy()
                     for number, (name, channels) in enumerate(self._slices.items())}
        for name, values in parts.items():
            low, high = float(values.min()), float(values.max())
            if not (low >= 0 and high <= 1):
                raise UserError(f"{self.config.where('INFERENCE.OUTPUT_ACT')}: INFERENCE.OUTPUT_ACT: '{name}' is from {low:g} to "
                                f"{high:g}, not within 0 and 1, as which it is stored. Take sigmoid, softmax or tanh")
        return [{name: values[number] for name, values in parts.items()} for number in range(len(several))]

    def load(self, path: str | Path) -> None:
        """See :class:`~lsd_experiments.networks.protocols.Model`."""
        checkpoints.load(self.network, checkpoints.read(path))

    def save(self, directory: str | Path, iteration: int, record: Mapping[str, Any]) -> Path:
        """See :class:`~lsd_experiments.networks.protocols.Model`."""
        path = Path(directory) / checkpoints.NAME.format(iteration)
        checkpoints.write(path, self.network, iteration, record=dict(record))
        return path

    def _run(self, raw: Tensor) -> Tensor:
        """[b, c, z, y, x]; a network of sections gets them one by one."""
        if not is_flat(self.config):
            return self._only(self.network(raw))
        sections = raw.transpose(1, 2).flatten(0, 1)
        found = self._only(self.network(sections))
        return found.reshape(raw.shape[0], raw.shape[2], *found.shape[1:]).transpose(1, 2)

    @staticmethod
    def _only(found: Tensor | Mapping[str, Tensor]) -> Tensor:
        return found["out"] if isinstance(found, Mapping) else found

    def _activated(self, target: int, values: Tensor) -> Tensor:
        return ACTIVATIONS[self.config.INFERENCE.OUTPUT_ACT[target]](values)
