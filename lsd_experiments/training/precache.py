"""Batches by number: made by worker processes ahead of their use, or when they are asked for."""

import logging
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial

import gunpowder as gp
import numpy as np

from lsd_experiments.blockwise.spec import end_with_parent
from lsd_experiments.sources import cause_of

logger = logging.getLogger(__name__)
_make: Callable[[int], gp.Batch]  # in a worker: makes the batch of a number


class WorkersDied(RuntimeError):
    """A worker process ended before its time."""


class PreCache(gp.BatchFilter):
    """Serves batch after batch, the same ones in the same order for any number of workers.

    The seed and a batch's number determine it. In contrast to gunpowder's PreCache, the request is that of the first batch
    throughout, batches come in order, and no worker outlives this process, however it ends. What goes wrong in a worker is
    reduced to its cause.

    ``first``: the number of the first batch. ``prepare_workers`` is called before the first worker is forked.
    """

    def __init__(self, seed: int, first: int, num_workers: int, cache_size: int, prepare_workers: Callable[[], None]) -> None:
        self.seed, self.number = seed, first
        self.num_workers, self.cache_size = num_workers, cache_size
        self.prepare_workers = prepare_workers
        self.pool: ProcessPoolExecutor | None = None
        self.ahead: deque[Future[gp.Batch]] = deque()

    def provide(self, request: gp.BatchRequest) -> gp.Batch:
        """The next batch."""
        if not self.num_workers:
            self.number += 1
            return self._make(request, self.number - 1)
        if self.pool is None:
            self.prepare_workers()
            self.pool = _workers(self.num_workers, partial(self._make, request.copy()))
        try:
            while len(self.ahead) < self.cache_size:
                self.ahead.append(self.pool.submit(_make_in_worker, self.number))
                self.number += 1
            return self.ahead.popleft().result()
        except BrokenProcessPool:
            raise WorkersDied("a worker process died; most often memory is short. Use fewer: --num-workers") from None
        except Exception as error:
            logger.debug("in a worker: %s", error.__cause__)  # its traceback, as text
            raise error from None

    def teardown(self) -> None:
        """Wait for the batches that are being made, and end the workers."""
        if self.pool is not None:
            self.pool.shutdown(cancel_futures=True)
        self.pool = None
        self.ahead.clear()

    def _make(self, request: gp.BatchRequest, number: int) -> gp.Batch:
        """The batch ``number``."""
        seeded = request.copy()
        seeded._random_seed = int(np.random.SeedSequence((self.seed, number)).generate_state(1)[0])
        try:
            return self.get_upstream_provider().request_batch(seeded)
        except Exception as error:
            raise cause_of(error) from None


def _workers(number: int, make: Callable[[int], gp.Batch]) -> ProcessPoolExecutor:
    """Processes forked from this one, which so have the pipeline; all of them are forked with the first batch."""
    context = multiprocessing.get_context("fork")
    return ProcessPoolExecutor(number, mp_context=context, initializer=_start_worker, initargs=(os.getpid(), make))


def _start_worker(parent: int, make: Callable[[int], gp.Batch]) -> None:
    global _make
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the training's own handlers are not for its workers,
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # and it ends them after Ctrl-C
    if os.getppid() != parent:
        os._exit(1)
    end_with_parent()
    _make = make


def _make_in_worker(number: int) -> gp.Batch:
    return _make(number)
