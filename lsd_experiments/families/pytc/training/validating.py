"""Validation: the mean loss over places half a sample apart, that cover the validation volumes, as they are."""

import itertools
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lsd_experiments.families.pytc.configuration import Config
from lsd_experiments.families.pytc.samples import Sample, Sampler
from lsd_experiments.families.pytc.samples.configured import validation_sampler
from lsd_experiments.families.pytc.samples.loader import Batch, load_batches
from lsd_experiments.families.pytc.training.stepping import Trainer
from lsd_experiments.prediction.tiling import starts_inside

Place = tuple[int, tuple[int, ...]]


@dataclass(frozen=True)
class _Places:
    """Samples at places, in order."""

    sampler: Sampler
    places: list[Place]

    def sample(self, iteration: int, _: int) -> Sample:
        """That of the place number ``iteration``."""
        return self.sampler.sample_at(*self.places[iteration])


@dataclass(frozen=True)
class Validation:
    """Each process has every n-th of ``places``."""

    sampler: Sampler
    places: list[Place]

    @classmethod
    def of(cls, config: Config) -> "Validation | None":
        """That of a configuration; None if it names no validation volumes.

        :raises UserError: if they are not there, or smaller than a sample
        """
        sampler = validation_sampler(config.tree)
        if sampler is None:
            return None
        shape = sampler.augmentor.source_shape
        steps = [max(1, size // 2) for size in shape]
        places = []
        for which, source in enumerate(sampler.sources):
            starts = [starts_inside(count - 1 + size, size, step) for count, size, step in
                      zip(source.places(shape), shape, steps, strict=True)]
            places += [(which, begin) for begin in itertools.product(*starts)]
        return cls(sampler, places)

    def loss(self, trainer: Trainer, workers: int = 0) -> tuple[float, tuple[Batch, Tensor] | None]:
        """The mean loss, the same in all processes, and the first of this one's batches with its prediction."""
        processes = trainer.processes
        mine: Any = _Places(self.sampler, self.places[processes.rank::processes.size])
        total, first = 0.0, None
        trainer.network.eval()
        try:
            with torch.no_grad():
                for made in load_batches(mine, range(len(mine.places)), 1, workers=workers):
                    batch = made.to(processes.device)
                    prediction, loss, _ = trainer.run(batch)
                    total += float(loss)
                    first = first or (batch, prediction)
        finally:
            trainer.network.train()
        return processes.total([total])[0] / len(self.places), first
