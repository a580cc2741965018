"""Validation: the mean loss of the known voxels of tiles that cover the validation crops, as far as its limits let it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from lsd_experiments.families.cellmap.training.loading import load_batches
from lsd_experiments.families.cellmap.training.stepping import Trainer

if TYPE_CHECKING:
    from lsd_experiments.families.cellmap.configuration import Settings

STREAM = 0x76616C


@dataclass(frozen=True)
class Validation:
    """``tiles``: what has a length and gives a batch by its number. Each process has every n-th batch."""

    settings: "Settings"
    tiles: Any

    def order(self) -> Sequence[int]:
        """The batches: all of them, or as many as ``validation_batch_limit`` says; where a limit leaves some out, drawn by the
        seed, the same ones each time."""
        settings, number = self.settings, len(self.tiles)
        if settings.validation_batch_limit is None and settings.validation_time_limit is None:
            return range(number)
        drawn = np.random.default_rng((settings.random_seed, STREAM)).permutation(number).tolist()
        return list(drawn[:settings.validation_batch_limit])

    def score(self, trainer: Trainer) -> tuple[float | None, tuple[Tensor, Tensor, Tensor] | None]:
        """The mean loss, the same in all processes, None if no voxel is known; and the image, target and output of a batch."""
        group, limit = trainer.processes, self.settings.validation_time_limit
        mine = self.order()[group.rank::group.size]
        total = known = 0.0
        shown, began = None, time.monotonic()
        trainer.network.eval()
        try:
            for batch in load_batches(self.tiles, mine, self.settings, group.size):
                image, target = batch.input.to(group.device), batch.target.to(group.device)
                output, loss, share = trainer.evaluate(image, target)
                total, known = total + loss * len(image), known + share * len(image)
                shown = shown or (image, target, output)
                if limit is not None and time.monotonic() - began > limit:
                    break
        finally:
            trainer.network.train()
        total, known = group.total([total, known])
        return (total / known if known else None), shown
