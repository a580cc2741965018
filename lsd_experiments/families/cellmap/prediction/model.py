"""A trained network, on patches as they are stored: preprocessed, in batches, the channels of the classes that are asked for."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lsd_experiments.errors import UserError
from lsd_experiments.families.cellmap.data.sides import as_tensor
from lsd_experiments.families.cellmap.networks import together
from lsd_experiments.families.cellmap.training.solving import device_of
from lsd_experiments.families.cellmap.training.training import network_of

if TYPE_CHECKING:
    from pathlib import Path

    from lsd_experiments.families.cellmap.checkpoints import Checkpoint
    from lsd_experiments.families.cellmap.configuration import Settings
    from lsd_experiments.families.cellmap.data.preprocessing import Preprocessing

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Model:
    """``network`` in evaluation on its device."""

    settings: "Settings"
    network: nn.Module
    preprocessing: "Preprocessing"
    device: torch.device

    @classmethod
    def read(cls, settings: "Settings", path: "Path", allow_partial: bool = False) -> "Model":
        """With the weights, and the preprocessing, of the checkpoint ``path``.

        :raises UserError: if there is none, or it does not fit
        """
        network, checkpoint = network_of(settings, path, allow_partial)
        device = device_of(settings)
        return cls(settings, network.to(device), preprocessing_of(settings, checkpoint), device)

    @cached_property
    def channels(self) -> int:
        """For each class.

        :raises UserError: if the outputs are no multiple of the classes, or have another shape
        """
        shape, number = self.settings.input_array_info["shape"], len(self.settings.classes)
        return len(self.logits([np.zeros(shape, np.uint8)], shape.index(1) if 1 in shape else None)[0]) // number

    def logits(self, raws: Sequence[NDArray[Any]], flat: int | None = None) -> list[NDArray[np.float32]]:
        """Of patches [z, y, x] the outputs [c, z, y, x] of all classes.

        :param flat: the axis of one voxel that a 2-D network does not see
        :raises UserError: if the outputs do not fit
        """
        batch = torch.stack([self.preprocessing(as_tensor(raw)) for raw in raws]).to(self.device)
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
            found: Tensor = together(self._run(batch), self.settings.classes)[0].float()
        if found.shape[1] % len(self.settings.classes):
            raise UserError(f"{self.settings.path}: model gives {found.shape[1]} channels, no multiple of the "
                            f"{len(self.settings.classes)} classes. Correct model, or classes")
        values = self._fitted(found, flat).cpu().numpy()
        return list(values if flat is None else np.expand_dims(values, flat + 2))

    def _run(self, batch: Tensor) -> Any:
        try:
            return self.network(batch)
        except RuntimeError as error:  # what PyTorch raises of shapes
            raise UserError(f"{self.settings.path}: model does not take an input of {list(batch.shape[2:])} voxels "
                            f"({' '.join(str(error).split())[:120]}). Correct input_array_info") from error

    def _fitted(self, found: Tensor, flat: int | None) -> Tensor:
        """The voxels in the middle, as many as target_array_info has."""
        sides = [size for size in self.settings.target_array_info["shape"] if flat is None or size != 1]
        there = list(found.shape[2:])
        if len(there) != len(sides) or any(size < wanted for size, wanted in zip(there, sides, strict=True)):
            raise UserError(f"{self.settings.path}: model gives {there} voxels, target_array_info has {sides}. Correct its shape")
        begins = [(size - wanted) // 2 for size, wanted in zip(there, sides, strict=True)]
        return found[(..., *(slice(begin, begin + size) for begin, size in zip(begins, sides, strict=True)))]


def preprocessing_of(settings: "Settings", checkpoint: "Checkpoint") -> "Preprocessing":
    """What the network was validated with: of the checkpoint, else of the configuration.

    :raises UserError: if they differ, and that of the checkpoint is somebody's own code
    """
    from lsd_experiments.families.cellmap.data.preprocessing import Preprocessing

    own = Preprocessing.raw(settings)
    recorded = checkpoint.more.get("preprocessing")
    if not isinstance(recorded, dict) or recorded.get("raw") == own.description:
        return own
    logger.warning("%s: val_raw_value_transforms are others than those that the network was validated with, which are taken: %s",
                   settings.path, recorded.get("raw"))
    return Preprocessing.of(recorded.get("raw"))
