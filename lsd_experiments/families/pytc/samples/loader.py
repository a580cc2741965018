"""Batches of samples for PyTorch, made by worker processes. This module imports PyTorch."""

import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lsd_experiments.errors import UserError
from lsd_experiments.families.pytc.samples.sampler import Sample, Sampler


@dataclass
class Batch:
    """Samples, [b, ...] each; see :class:`~lsd_experiments.families.pytc.samples.sampler.Sample`."""

    iteration: int
    image: Tensor
    targets: list[Tensor]
    weights: list[list[Tensor]]
    known: Tensor | None = None

    def to(self, device: torch.device) -> "Batch":
        """The same on a device."""
        def move(tensor: Tensor) -> Tensor:
            return tensor.to(device, non_blocking=True)

        return Batch(self.iteration, move(self.image), [move(target) for target in self.targets],
                     [[move(weight) for weight in row] for row in self.weights], None if self.known is None else move(self.known))

    def pin_memory(self) -> "Batch":
        """What DataLoader calls where memory is to be pinned."""
        return Batch(self.iteration, self.image.pin_memory(), [target.pin_memory() for target in self.targets],
                     [[weight.pin_memory() for weight in row] for row in self.weights],
                     None if self.known is None else self.known.pin_memory())


def load_batches(sampler: Sampler, iterations: range, batch: int, rank: int = 0, ranks: int = 1, workers: int = 0,
                 pin_memory: bool = False) -> "Batches":
    """The part of process ``rank`` of the batches of ``iterations``, in order. ``sampler``: what has ``sample(iteration, slot)``.

    :param batch: samples of all processes together; each makes as many of them
    :param workers: processes that make samples; 0 is this one. How many there are changes nothing but the time it takes
    :raises UserError: if ``batch`` is not a multiple of ``ranks``
    """
    if batch % ranks:
        raise UserError(f"SOLVER.SAMPLES_PER_BATCH: {batch} samples cannot be shared by {ranks} processes. Give a multiple")
    share = batch // ranks
    slots = range(rank * share, (rank + 1) * share)
    return Batches(DataLoader(_Samples(sampler), batch_sampler=_Slots(iterations, slots), num_workers=workers,
                              collate_fn=_collate, pin_memory=pin_memory, prefetch_factor=2 if workers else None,
                              worker_init_fn=_leave_signals if workers else None))


@dataclass
class Batches:
    """Batches in order; the workers of an iteration over them end with it."""

    loader: "DataLoader[Any]"

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Batch]:
        """:raises UserError: what a worker met, as it was said there"""
        for made in self.loader:
            if isinstance(made, UserError):
                raise made
            yield made


def _leave_signals(_: int) -> None:
    """Ctrl-C and SIGTERM, which a terminal or a cluster sends to all processes, are the training's, which ends its workers."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


class _Slots:
    """The (iteration, slot) of each sample, batch by batch."""

    def __init__(self, iterations: range, slots: range) -> None:
        self.iterations, self.slots = iterations, slots

    def __len__(self) -> int:
        return len(self.iterations)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        return ([(iteration, slot) for slot in self.slots] for iteration in self.iterations)


class _Samples(Dataset[Any]):
    def __init__(self, sampler: Sampler) -> None:
        self.sampler = sampler

    def __getitem__(self, index: tuple[int, int]) -> tuple[int, Sample | UserError]:
        try:
            return index[0], self.sampler.sample(*index)
        except UserError as error:  # PyTorch would make a traceback of it
            return index[0], error


def _collate(made: Sequence[tuple[int, Sample | UserError]]) -> Batch | UserError:
    samples = []
    for _, sample in made:
        if isinstance(sample, UserError):
            return sample
        samples.append(sample)
    targets = [_stack([sample.targets[index] for sample in samples]) for index in range(len(samples[0].targets))]
    weights = [[_stack([sample.weights[index][number] for sample in samples]) for number in range(len(row))]
               for index, row in enumerate(samples[0].weights)]
    return Batch(made[0][0], _stack([sample.image for sample in samples]), targets, weights, _known(samples))


def _known(samples: Sequence[Sample]) -> Tensor | None:
    """[b, 1, z, y, x] float32: where it is known what is there; None if it is everywhere in all samples."""
    if all(sample.known is None for sample in samples):
        return None
    return _stack([np.ones(sample.image.shape, np.float32) if sample.known is None else sample.known.astype(np.float32)
                   for sample in samples])


def _stack(arrays: Sequence[Any]) -> Tensor:
    return torch.from_numpy(np.stack(arrays))
