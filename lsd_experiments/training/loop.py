"""Train until an iteration: resume, run, save, stop cleanly when asked to."""

import logging
import os
import secrets
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gunpowder as gp
import numpy as np
from tqdm import tqdm

from lsd_experiments.checkpoints import Checkpoint
from lsd_experiments.datasets import Dataset
from lsd_experiments.errors import UserError
from lsd_experiments.networks.network import Network, Shape
from lsd_experiments.provenance import provenance
from lsd_experiments.sources import cause_of
from lsd_experiments.training.data import Sample
from lsd_experiments.training.keys import head_keys, snapshot_names
from lsd_experiments.training.nodes import Snapshot, Train
from lsd_experiments.training.options import TrainingOptions
from lsd_experiments.training.pipeline import TargetNodes, batch_request, sample_pipeline
from lsd_experiments.training.tensorboard import Log
from lsd_experiments.training.trainer import Trainer

logger = logging.getLogger(__name__)
SIGNALS = (signal.SIGTERM, signal.SIGINT)


def train(
    dataset: Dataset,
    network: Network,
    input_shape: Shape,
    samples: list[Sample],
    targets: TargetNodes,
    options: TrainingOptions,
    checkpoint: Checkpoint | None,
    directory: Path,
) -> int:
    """Train from ``checkpoint`` (None: from the start) until ``options.iterations``; returns the exit status."""
    run = Run(dataset, network, input_shape, options, checkpoint, directory)
    pipeline = run.pipeline(samples, targets)
    request = batch_request(network, input_shape, dataset.voxel_size)
    with stop_requests() as stop_requested, gp.build(pipeline), run.progress() as progress:
        try:
            for iteration in range(run.start + 1, options.iterations + 1):
                loss = run.one(pipeline, request, iteration)
                progress.set_postfix(loss=f"{loss:.4f}", refresh=False)
                progress.update()
                stop = stop_requested()
                if stop or iteration == options.iterations or iteration % options.save_every == 0:
                    run.save(iteration)
                if stop:
                    print(f"stopped at iteration {iteration}: saved; run the same command to go on", file=sys.stderr)
                    return 128 + stop
        finally:
            run.log.close()
    return 0


class Run:
    """One call of train.py: where it starts, and what it writes."""

    def __init__(
        self,
        dataset: Dataset,
        network: Network,
        input_shape: Shape,
        options: TrainingOptions,
        checkpoint: Checkpoint | None,
        directory: Path,
    ) -> None:
        self.dataset, self.network, self.input_shape = dataset, network, input_shape
        self.options, self.checkpoint, self.directory = options, checkpoint, directory
        self.start = checkpoint.iteration if checkpoint else 0
        self.seed = _seed(options.seed, checkpoint)
        self.log = Log(directory / options.log_dir)
        self.trainer = Train(self._start_trainer, tuple(head.name for head in network.heads))

    def pipeline(self, samples: list[Sample], targets: TargetNodes) -> gp.Pipeline:
        """From samples to snapshots."""
        output_shape = self.network.output_shape(self.input_shape)
        roi = batch_request(self.network, self.input_shape, self.dataset.voxel_size)
        extra = {
            key: roi[keys.target].roi
            for keys in map(head_keys, self.trainer.heads)
            for key in (keys.prediction, keys.gradient)
        }
        return (
            sample_pipeline(
                self.dataset,
                self.network,
                samples,
                output_shape,
                targets,
                self.options.batch_size,
                self.options.num_workers,
                self.seed,
                self.start,
            )
            + self.trainer
            # Back to [0, 1], as snapshots show raw.
            + gp.IntensityScaleShift(gp.ArrayKey("RAW"), 0.5, 0.5)
            + Snapshot(
                snapshot_names(self.network.heads),
                extra,
                self.directory / "snapshots",
                self.options.snapshot_every,
                self.start,
                self.dataset.voxel_size,
                self.log.images,
            )
        )

    def one(self, pipeline: gp.Pipeline, request: gp.BatchRequest, iteration: int) -> float:
        """One iteration; returns its loss.

        :raises FloatingPointError: if the loss is not finite; the snapshot of its batch has been written.
        """
        try:
            pipeline.request_batch(request)
        except Exception as error:
            raise cause_of(error) from (error if logger.isEnabledFor(logging.DEBUG) else None)
        logs = self.trainer.logs
        self.log.scalars(iteration, logs)
        if not np.isfinite(logs["loss"]):
            raise UserError(
                f"the loss of iteration {iteration} is {logs['loss']}: training stopped, nothing of it was saved. Its batch "
                f"is {self.directory / 'snapshots' / f'batch_{iteration}.hdf'}. Look at it, or lower --learning-rate"
            )
        return logs["loss"]

    def save(self, iteration: int) -> None:
        """Write the checkpoint of ``iteration``."""
        assert self.trainer.trainer is not None
        record = {
            "seed": self.seed,
            "input_shape": list(self.input_shape),
            "voxel_size": list(self.dataset.voxel_size),
            "provenance": provenance("train", self.options.record(), {"dataset": self.dataset.name}),
        }
        self.trainer.trainer.save(self.directory, iteration, record)

    def progress(self) -> Any:
        """A bar over the iterations, with rate and remaining time."""
        return tqdm(total=self.options.iterations, initial=self.start, unit="it", desc="training", smoothing=0.05)

    def _start_trainer(self) -> Trainer:
        return Trainer.start(
            self.network,
            self.input_shape,
            self.options.learning_rate,
            self.options.precision,
            self.seed,
            self.checkpoint,
        )


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


def _seed(asked: int | None, checkpoint: Checkpoint | None) -> int:
    """The seed that was asked for, else the checkpoint's, else a random one."""
    if asked is not None:
        return asked
    return int(checkpoint.record["seed"]) if checkpoint else secrets.randbits(31)
