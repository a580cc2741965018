"""Validation: the mean loss of the known voxels of tiles that cover the validation crops, as far as its limits let it."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

from lsd_experiments.families.cellmap.data.loading import load_batches
from lsd_experiments.families.cellmap.training.stepping import Trainer

if TYPE_CHECKING:
    from lsd_experiments.families.cellmap.configuration import Settings


@dataclass(frozen=True)
class Validation:
    """``tiles``: batches of them, as many as ``validation_batch_limit`` lets; each process has every n-th."""

    settings: "Settings"
    tiles: Any

    def score(self, trainer: Trainer) -> tuple[float | None, tuple[Tensor, Tensor, Tensor] | None]:
        """The mean loss, the same in all processes, None if no voxel is known; and the image, target and output of a batch."""
        group, limit = trainer.processes, self.settings.validation_time_limit
        mine = range(group.rank, len(self.tiles), group.size)
        total = known = 0.0
        shown, began = None, time.monotonic()
        trainer.network.eval()
        try:
            for batch in load_batches(self.tiles, mine):
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
