"""Batches made by worker processes. Imports PyTorch.

Workers make samples, not batches, and few ahead: two batches are in memory, however many workers there are, and what workers
keep of volumes is divided among them.
"""

import math
import signal
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from torch.utils.data import DataLoader, Dataset

from lsd_experiments.errors import UserError, nearest
from lsd_experiments.families.cellmap.data.sides import Batch, Sample, Source, stack

KNOWN = ("num_workers", "pin_memory", "prefetch_factor", "persistent_workers", "timeout")


class Made(Protocol):
    """What has samples: :class:`Samples`, :class:`ValidationTiles`."""

    slots: range

    def sample(self, iteration: int, slot: int) -> Sample:
        """One of them."""


def load_batches(samples: Any, iterations: Iterable[int], options: Mapping[str, Any] | None = None) -> Iterator[Batch]:
    """This process's batches of ``iterations``, in order.

    :param options: ``dataloader_kwargs``, of which ``num_workers``, ``pin_memory``, ``prefetch_factor`` and ``timeout`` count;
        default: those of the settings. How many workers there are changes nothing but the time it takes
    :raises UserError: if one is not known; what a worker met, as it was said there
    """
    said = dict(samples.settings.dataloader_kwargs if options is None else options)
    if unknown := [name for name in said if name not in KNOWN]:
        raise UserError(f"dataloader_kwargs: no {unknown[0]!r} here{nearest(unknown[0], KNOWN)}. There are {', '.join(KNOWN)}")
    wanted = [(number, list(getattr(samples, "slots_of", lambda _: samples.slots)(number))) for number in iterations]
    workers = int(said.get("num_workers", 0))
    pairs = [(number, slot) for number, slots in wanted for slot in slots]
    loader = iter(_loader(samples, pairs, workers, said))
    for number, slots in wanted:
        batch = stack(number, (_checked(next(loader)) for _ in slots), len(slots))
        yield batch.pin_memory() if said.get("pin_memory") else batch


def _loader(samples: Any, pairs: list[tuple[int, int]], workers: int, said: Mapping[str, Any]) -> "DataLoader[Any]":
    per_worker = max(1, math.ceil(2 * len(samples.slots) / workers)) if workers else None
    ahead = min(per_worker, int(said.get("prefetch_factor", 2))) if per_worker else None
    share = samples.cache.limit // max(1, workers)

    def begin(_: int) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):  # they are the training's, which ends its workers
            signal.signal(number, signal.SIG_IGN)
        samples.cache.clear()
        samples.cache.limit = share

    return DataLoader(_Samples(samples), batch_size=None, sampler=pairs, num_workers=workers, prefetch_factor=ahead,
                      timeout=float(said.get("timeout", 0)) if workers else 0, worker_init_fn=begin if workers else None)


def _checked(made: Any) -> Sample:
    if isinstance(made, UserError):
        raise made
    sample: Sample = made
    return sample


class _Samples(Dataset[Any]):
    def __init__(self, samples: Source) -> None:
        self.samples = samples

    def __getitem__(self, pair: tuple[int, int]) -> Any:
        try:
            return self.samples.sample(*pair)  # type: ignore[attr-defined]
        except UserError as error:  # PyTorch would make a traceback of it
            return error
