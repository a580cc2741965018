"""Batches by number: made by worker processes ahead of their use, or when they are asked for.

With n workers, worker k makes every n-th batch from the k-th on, and sends them through a pipe of its own::

    worker 0    0   2   4 |                 the training takes 0, 1, 2, 3 ... from the pipes in turn
    worker 1    1   3   5 |
"""

import itertools
import logging
import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess

import gunpowder as gp
import numpy as np

from lsd_experiments.blockwise.spec import end_with_parent
from lsd_experiments.sources import cause_of

logger = logging.getLogger(__name__)
Make = Callable[[int], gp.Batch]  # the batch of a number


class WorkersDied(RuntimeError):
    """A worker process ended before its time."""


class PreCache(gp.BatchFilter):
    """Serves batch after batch, the same ones in the same order for any number of workers.

    The seed and a batch's number determine it. In contrast to gunpowder's PreCache, the request is that of the first batch
    throughout, batches come in order, and no worker outlives this process, however it ends. What goes wrong in a worker is
    reduced to its cause.

    ``first``: the number of the first batch; ``ahead``: how many batches each worker keeps.
    """

    def __init__(self, seed: int, first: int, num_workers: int, ahead: int) -> None:
        self.seed, self.first, self.numbers = seed, first, itertools.count(first)
        self.num_workers, self.ahead = num_workers, ahead
        self.workers: list[tuple[ForkProcess, Connection]] = []

    def provide(self, request: gp.BatchRequest) -> gp.Batch:
        """The next batch."""
        if self.num_workers and not self.workers:
            self._start_workers(request)
        number = next(self.numbers)
        return self._receive(number) if self.workers else self._make(request, number)

    def teardown(self) -> None:
        """End the workers; what they are at is lost, and nothing else."""
        for process, connection in self.workers:
            process.kill()
            connection.close()
        for process, _ in self.workers:
            process.join()
        if self.workers:
            logger.info("%d worker processes ended", len(self.workers))
        self.workers.clear()

    def _start_workers(self, request: gp.BatchRequest) -> None:
        context = multiprocessing.get_context("fork")  # workers have the pipeline, and all that is imported
        make = partial(self._make, request.copy())
        for number in range(self.first, self.first + self.num_workers):
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(
                target=_work, args=(os.getpid(), make, sender, number, self.num_workers, self.ahead), daemon=True
            )
            process.start()
            sender.close()  # so that the pipe ends with the worker
            self.workers.append((process, receiver))
        logger.info("%d worker processes begin", self.num_workers)

    def _receive(self, number: int) -> gp.Batch:
        _, connection = self.workers[(number - self.first) % self.num_workers]
        try:
            received = connection.recv()
        except (EOFError, OSError):
            raise WorkersDied("a worker process died; most often memory is short. Use fewer: --num-workers") from None
        if isinstance(received, Exception):
            raise received
        return received

    def _make(self, request: gp.BatchRequest, number: int) -> gp.Batch:
        """The batch ``number``."""
        seeded = request.copy()
        seeded._random_seed = int(np.random.SeedSequence((self.seed, number)).generate_state(1)[0])
        try:
            return self.get_upstream_provider().request_batch(seeded)
        except Exception as error:
            raise cause_of(error) from None


def _work(parent: int, make: Make, sender: Connection, first: int, step: int, ahead: int) -> None:
    """The life of a worker: make batches, and send them, or the errors instead of them, as fast as they are taken."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the training's own handlers are not for its workers,
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # and it ends them after Ctrl-C
    end_with_parent()
    if os.getppid() != parent:
        return
    batches: queue.Queue[gp.Batch | Exception] = queue.Queue(ahead)
    threading.Thread(target=_send, args=(batches, sender), daemon=True).start()
    for number in itertools.count(first, step):
        try:
            batches.put(make(number))
        except Exception as error:
            batches.put(error)


def _send(batches: "queue.Queue[gp.Batch | Exception]", sender: Connection) -> None:
    try:
        while True:
            sender.send(batches.get())
    finally:
        os._exit(1)  # a worker that cannot send is of no use
