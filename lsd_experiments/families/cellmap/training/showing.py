"""What TensorBoard shows of a training: ``loss``, ``validation``, ``lr``, and a picture for each class."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lsd_experiments.families.pytc.training.showing import montage
from lsd_experiments.training.tensorboard import Log

UNKNOWN = 0.5  # as which voxels that are not known are shown


class Board:
    """Of one run; ``wanted``: whether this process writes."""

    def __init__(self, directory: Path, wanted: bool = True) -> None:
        self._log = Log(directory) if wanted else None

    def loss(self, iteration: int, value: float) -> None:
        """The mean loss of the known voxels of a batch."""
        if self._log:
            self._log.scalars(iteration, {"loss": value})

    def epoch(self, epoch: int, rate: float, validation: float | None) -> None:
        """The learning rate of an epoch, and its validation."""
        if self._log:
            self._log.scalars(epoch, {"lr": rate} | ({} if validation is None else {"validation": validation}))

    def pictures(self, epoch: int, kind: str, image: Tensor, target: Tensor, output: Tensor, classes: Sequence[str]) -> None:
        """Of the first sample's middle section, for each class: image, target and probability, one below the other."""
        if self._log:
            self._log.pictures(epoch, {f"{kind}/{name}": picture for name, picture in zip(
                classes, pictures(image, target, output), strict=False)})

    def close(self) -> None:
        """Write what is not written yet."""
        if self._log:
            self._log.close()


def pictures(image: Tensor, target: Tensor, output: Tensor) -> list[NDArray[np.uint8]]:
    """See :meth:`Board.pictures`; [b, c, ...] each, of outputs the first channel of each class."""
    raw, each = _volume(image[0]), output.shape[1] // target.shape[1] or 1
    low, high = float(np.nanmin(raw)), float(np.nanmax(raw))
    raw = (raw - low) / ((high - low) or 1)
    known = np.nan_to_num(_volume(target[0]), nan=UNKNOWN)
    likely = _volume(torch.sigmoid(output[0].float()))[::each]
    return [montage([raw[:1], truth[None], found[None]], 1) for truth, found in zip(known, likely, strict=False)]


def _volume(values: Tensor) -> NDArray[Any]:
    """[c, z, y, x] on the CPU; of a section, [c, y, x], with one z."""
    found: NDArray[Any] = values.detach().float().cpu().numpy()
    return found[:, None] if found.ndim == 3 else found
