"""Samples of a training, and the tiles that validate it. Imports PyTorch.

    samples = Samples(settings, "train")
    samples.batch(17)

A sample is a function of the seed, the iteration, and the slot in the iteration's whole batch: a training that was resumed, or
one with other numbers of workers or processes, sees what an uninterrupted one would.
"""

import logging
from collections.abc import Sequence

import numpy as np

from lsd_experiments.errors import UserError
from lsd_experiments.families.cellmap.configuration import Settings
from lsd_experiments.families.cellmap.data import turning
from lsd_experiments.families.cellmap.data.choosing import Chooser
from lsd_experiments.families.cellmap.data.crops import Crop
from lsd_experiments.families.cellmap.data.images import MEMORY
from lsd_experiments.families.cellmap.data.sides import Batch, Place, Sample, Source, stack
from lsd_experiments.families.cellmap.data.tiles import ValidationTiles
from lsd_experiments.families.cellmap.split import Row

__all__ = ["Batch", "Place", "Sample", "Samples", "ValidationTiles", "stack"]

PLACES = 10  # that are looked at for a voxel of the class, where batches are to have all
STREAMS = {"train": 1, "validate": 2}
logger = logging.getLogger(__name__)


class Samples(Source):
    """Random samples of one side, in batches of ``batch_size``, of which each of several ``processes`` has an equal part.

    :param side: "train", with spatial transforms, or "validate", without
    :param memory: bytes of voxels that are kept
    :param rows: of a split, in place of that of the settings
    :raises UserError: if the side has no crop, or batches cannot be as the settings demand
    """

    def __init__(self, settings: Settings, side: str, rank: int = 0, processes: int = 1, memory: int = MEMORY,
                 rows: Sequence[Row] | None = None) -> None:
        super().__init__(settings, side, memory, rows)
        if not self.crops:
            raise UserError(f"{settings.split_path}: no crop of {', '.join(settings.classes)} is to {side}. Name other classes, "
                            "or make another split")
        if settings.batch_size % processes:
            raise UserError(f"{settings.path}: batch_size {settings.batch_size} cannot be shared by {processes} processes. Give "
                            "a multiple")
        share = settings.batch_size // processes
        self.slots = range(rank * share, (rank + 1) * share)
        annotated = [crop.classes for crop in self.crops]
        balanced, shape = settings.weighted_sampler, settings.target_array_info["shape"]
        sizes = None if balanced else [_places(crop, shape) for crop in self.crops]
        self.chooser = Chooser(annotated, sizes, balanced, self.is_forced, settings.batch_size, settings.random_seed)
        for label in settings.classes:
            if label not in self.chooser.classes:
                logger.warning("%s: %s is annotated in no crop that is to %s", settings.split_path, label, side)

    def __len__(self) -> int:
        """Batches of an epoch."""
        return self.settings.iterations_per_epoch

    def batch(self, iteration: int) -> Batch:
        """This process's part of the batch of ``iteration``."""
        return stack(iteration, (self.sample(iteration, slot) for slot in self.slots), len(self.slots))

    def sample(self, iteration: int, slot: int) -> Sample:
        """The sample at ``slot`` of the whole batch."""
        random = np.random.default_rng([self.settings.random_seed, STREAMS[self.side], iteration, slot])
        number, label = self.chooser.choose(iteration, slot)
        crop = self.crops[number]
        begin = self._draw_place(crop, label, random)
        return self.make(crop, begin, turning.draw(self.spatial, random), int(random.integers(2**62)), label)

    def _draw_place(self, crop: Crop, label: str | None, random: np.random.Generator) -> list[int]:
        """Where a target begins: wholly within what is annotated, or, if that is smaller, about its middle."""
        box, shape = crop.box(label), self.settings.target_array_info["shape"]
        for _ in range(PLACES if self.is_forced and label else 1):
            begin = []
            for low, high, size in zip(box.begin, box.end, shape, strict=True):
                free = high - low - size
                begin.append(low + (int(random.integers(free + 1)) if free >= 0 else -(-free // 2)))
            if not (self.is_forced and label) or crop.has(label, begin):
                break
        return begin


def _places(crop: Crop, shape: Sequence[int]) -> float:
    return float(np.prod([max(1, n - size + 1) for n, size in zip(crop.box().shape, shape, strict=True)], dtype=float))
