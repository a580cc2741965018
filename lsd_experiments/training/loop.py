"""Train until an iteration: run, save, stop cleanly when asked to."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import gunpowder as gp

from lsd_experiments.training.pipeline import Samples, TargetNodes, reduced_to_cause
from lsd_experiments.training.precache import WorkersDied
from lsd_experiments.training.run import NotFinite, Run

SIGNALS = (signal.SIGTERM, signal.SIGINT)


def train(run: Run, samples: Samples, targets: TargetNodes) -> int:
    """Train until ``run.options.iterations``; returns the exit status."""
    pipeline = run.pipeline(samples, targets)
    try:
        with stop_requests() as stop_requested:
            with build(pipeline), run.progress() as progress:
                iteration = _iterate(run, pipeline, stop_requested, progress)
            if iteration == run.options.iterations:
                return 0
            print(f"stopped at iteration {iteration}: saved; run the same command to go on", file=sys.stderr)
            return 128 + stop_requested()
    except NotFinite as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        run.log.close()


def _iterate(run: Run, pipeline: gp.Pipeline, stop_requested: Callable[[], int], progress: Any) -> int:
    """Train until the last iteration, or a request to stop; returns the iteration that was reached, and saved."""
    last, every = run.options.iterations, run.options.save_every
    for iteration in range(run.start + 1, last + 1):
        try:
            loss = run.one(pipeline, iteration)
        except WorkersDied:
            time.sleep(1)  # the signal that ended them may be on its way to this process, too
            if not stop_requested():
                raise
            run.save(iteration - 1)
            return iteration - 1
        progress.set_postfix(loss=f"{loss:.4f}", refresh=False)
        progress.update()
        if iteration == last or iteration % every == 0 or stop_requested():
            run.save(iteration)
        if stop_requested():
            return iteration
    return last


@contextmanager
def build(pipeline: gp.Pipeline) -> Iterator[None]:
    """``gunpowder.build``, whose errors are reduced to their cause."""
    with ExitStack() as stack:
        with reduced_to_cause():
            stack.enter_context(gp.build(pipeline))
        yield


@contextmanager
def stop_requests() -> Iterator[Callable[[], int]]:
    """Turns SIGTERM and Ctrl-C into a question: the signal that asked for a stop, or 0. A second Ctrl-C interrupts at once."""
    received: list[int] = []
    main_process = os.getpid()

    def remember(number: int, _: Any) -> None:
        if os.getpid() == main_process and received and number == signal.SIGINT:
            raise KeyboardInterrupt
        received.append(number)

    before = {number: signal.signal(number, remember) for number in SIGNALS}
    try:
        yield lambda: received[0] if received else 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
