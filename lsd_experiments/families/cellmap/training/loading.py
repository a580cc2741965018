"""Batches for PyTorch, made by worker processes as ``dataloader_kwargs`` say."""

import logging
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from torch.utils.data import DataLoader, Dataset

from lsd_experiments.errors import UserError

if TYPE_CHECKING:
    from lsd_experiments.families.cellmap.configuration import Settings

logger = logging.getLogger(__name__)
MOST = 8  # workers, if their number is not configured
TAKEN = ("num_workers", "prefetch_factor", "pin_memory", "timeout", "multiprocessing_context")
OURS = ("shuffle", "persistent_workers", "drop_last", "sampler", "batch_sampler", "batch_size", "collate_fn", "generator")


class Source(Protocol):
    """What makes batches: a function of the number alone."""

    def batch(self, number: int) -> Any:
        """Batch ``number``."""


@dataclass(frozen=True)
class Batches:
    """Batches in order; the workers of an iteration over them end with it."""

    loader: "DataLoader[Any]"

    def __iter__(self) -> Iterator[Any]:
        """:raises UserError: what a worker met, as it was said there"""
        for made in self.loader:
            if isinstance(made, UserError):
                raise made
            yield made


def load_batches(source: Source, numbers: Sequence[int], settings: "Settings", processes: int = 1) -> Batches:
    """The batches ``numbers`` of ``source``, in order. How many workers there are changes nothing but the time it takes."""
    keywords = loader_keywords(settings, processes)
    return Batches(DataLoader(_Made(source), batch_size=None, sampler=list(numbers),
                              worker_init_fn=_leave_signals if keywords["num_workers"] else None, **keywords))


def loader_keywords(settings: "Settings", processes: int = 1) -> dict[str, Any]:
    """What DataLoader gets.

    :raises UserError: if it does not take them
    """
    given: Mapping[str, Any] = settings.dataloader_kwargs or {}
    unknown = [key for key in given if key not in (*TAKEN, *OURS)]
    if unknown:
        raise UserError(f"{settings.path}: dataloader_kwargs: {unknown[0]} is not taken. Give some of {', '.join(TAKEN)}")
    for key in (key for key in given if key in OURS):
        logger.warning("%s: dataloader_kwargs: %s has no effect: samples are functions of seed and iteration", settings.path, key)
    found = {key: given[key] for key in TAKEN if key in given}
    cores = len(os.sched_getaffinity(0)) // processes
    number = found.setdefault("num_workers", max(0, min(MOST, cores - 1)))
    if not isinstance(number, int) or number < 0:
        raise UserError(f"{settings.path}: dataloader_kwargs: num_workers is {number!r}. Give 0 or more")
    if not number:
        found = {key: value for key, value in found.items() if key in ("num_workers", "pin_memory")}
    return found


def _leave_signals(_: int) -> None:
    """Ctrl-C and SIGTERM, which a terminal or a cluster sends to all processes, are the training's, which ends its workers."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


class _Made(Dataset[Any]):
    def __init__(self, source: Source) -> None:
        self.source = source

    def __getitem__(self, number: int) -> Any:
        try:
            return self.source.batch(number)
        except UserError as error:  # PyTorch would make a traceback of it
            return error
