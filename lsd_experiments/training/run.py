"""One call of train.py: where it starts, and what it writes."""

import secrets
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gunpowder as gp
import numpy as np
from tqdm import tqdm

from lsd_experiments import frameworks
from lsd_experiments.checkpoints import Checkpoint
from lsd_experiments.datasets import Dataset
from lsd_experiments.intensity import NOTE
from lsd_experiments.networks.network import Network, Shape
from lsd_experiments.prediction.autocontext import lsds_record, raw_shape
from lsd_experiments.prediction.loading import Trained
from lsd_experiments.provenance import provenance
from lsd_experiments.training.autocontext import PredictLsds
from lsd_experiments.training.keys import RAW, head_keys, snapshot_names
from lsd_experiments.training.malis import MalisTrain
from lsd_experiments.training.nodes import Snapshot, Train
from lsd_experiments.training.options import TrainingOptions
from lsd_experiments.training.parallel import prepare_backend
from lsd_experiments.training.pipeline import (
    Samples,
    TargetNodes,
    batch_pipeline,
    batch_request,
    compile_kernels,
    reduced_to_cause,
)
from lsd_experiments.training.precache import PreCache
from lsd_experiments.training.tensorboard import Log

if TYPE_CHECKING:
    from lsd_experiments.training.trainer import Trainer

AHEAD = 4  # batches that each worker keeps: 40 of 10 workers, as published


class NotFinite(Exception):
    """The loss, or a weight, is not a number any more."""


class Run:
    """A training in a setup directory; the constructor writes nothing."""

    def __init__(
        self,
        dataset: Dataset,
        network: Network,
        input_shape: Shape,
        options: TrainingOptions,
        checkpoint: Checkpoint | None,
        directory: Path,
        log_dir: Path,
        lsds: Trained | None = None,
        raw_range: Mapping[str, Any] | None = None,
    ) -> None:
        self.dataset, self.network, self.input_shape = dataset, network, input_shape
        self.options, self.checkpoint, self.directory = options, checkpoint, directory
        self.start = checkpoint.iteration if checkpoint else 0
        self.seed = _seed(options.seed, checkpoint)
        self.log = Log(log_dir)
        self.train = self._train_node()
        self.lsds = lsds
        self.raw_record = {NOTE: raw_range} if raw_range else {}
        self.lsds_record = {"lsds": lsds_record(lsds)} if lsds else {}
        self.raw_shape = raw_shape(lsds.network, input_shape) if lsds else input_shape
        self.request = batch_request(network, input_shape, dataset, self.raw_shape, options.malis_from is not None)
        self.made_by: dict[str, Any] = {}

    def pipeline(self, samples: Samples, targets: TargetNodes) -> gp.Pipeline:
        """From samples to snapshots."""
        data = [sample.raw.container for sample, _ in samples]
        parameters = self.options.record() | {"parity": self.dataset.parity}
        self.made_by = provenance("train", parameters, {"dataset": self.dataset.name, "data": data})
        extra = {
            key: self.request[keys.target].roi
            for keys in map(head_keys, self.train.heads)
            for key in (keys.prediction, keys.gradient)
        }
        batches = batch_pipeline(self.dataset, self.network, samples, targets, self.options.batch_size)
        batches += PreCache(
            self.seed,
            first=self.start,
            num_workers=self.options.num_workers,
            ahead=AHEAD,
            prepare_workers=partial(compile_kernels, self.dataset, samples),
        )
        if self.lsds:
            # LSDs of raw, by the frozen network.
            batches += PredictLsds(self.lsds, self.raw_shape, self.options.precision)
        return (
            batches
            + self.train
            # Back to [0, 1], as snapshots show raw.
            + gp.IntensityScaleShift(RAW, 0.5, 0.5)
            + Snapshot(
                snapshot_names(self.network.heads, malis=self.options.malis_from is not None),
                extra,
                self.directory / "snapshots",
                self.options.snapshot_every,
                self.start,
                self.dataset.voxel_size,
                self.made_by,
                self.log.images,
            )
        )

    def one(self, pipeline: gp.Pipeline, iteration: int) -> float:
        """One iteration; returns its loss.

        :raises NotFinite: if the loss is not finite; the snapshot of its batch has been written.
        """
        with reduced_to_cause():
            pipeline.request_batch(self.request)
        logs = self.train.logs
        self.log.scalars(iteration, logs)
        if not np.isfinite(logs["loss"]):
            raise NotFinite(
                f"the loss of iteration {iteration} is {logs['loss']}: training stopped, no checkpoint of it was saved. Its "
                f"batch is {self.directory / 'snapshots' / f'batch_{iteration}.hdf'}. Look at it, or lower --learning-rate"
            )
        return logs["loss"]

    def save(self, iteration: int) -> None:
        """Write the checkpoint of ``iteration``; before the first one of this run there is none to write.

        :raises NotFinite: if a weight is not finite.
        """
        trainer = self.train.trainer
        if trainer is None:
            return
        if not trainer.is_finite():
            raise NotFinite(
                f"the weights after iteration {iteration} are not all finite: training stopped, no checkpoint of them was "
                "saved. Lower --learning-rate"
            )
        record = {
            "seed": self.seed,
            "input_shape": list(self.input_shape),
            "voxel_size": list(self.dataset.voxel_size),
            "provenance": self.made_by,
            **self.raw_record,
            **self.lsds_record,
        }
        trainer.save(self.directory, iteration, record)

    def progress(self) -> Any:
        """A bar over the iterations, with rate and remaining time."""
        return tqdm(total=self.options.iterations, initial=self.start, unit="it", desc="training", smoothing=0.05)

    def _train_node(self) -> Train:
        heads = tuple(head.name for head in self.network.heads)
        if self.options.malis_from is None:
            return Train(self._start_trainer, heads, self.dataset.loss_divisor)
        channels = next(head.channels for head in self.network.heads if head.name == "affs")
        neighborhood = self.dataset.neighborhood(channels)
        return MalisTrain(
            self._start_trainer, heads, neighborhood, self.options.malis_from, self.start, self.dataset.loss_divisor
        )

    def _start_trainer(self) -> "Trainer":
        prepare_backend(self.options.devices)
        frameworks.import_keras()
        from lsd_experiments.training.trainer import Trainer, weighted_error

        loss = weighted_error(self.dataset.loss_divisor)
        return Trainer.start(self.network, self.input_shape, self.options, loss, self.seed, self.checkpoint)


def _seed(asked: int | None, checkpoint: Checkpoint | None) -> int:
    """The seed that was asked for, else the checkpoint's, else a random one."""
    if asked is not None:
        return asked
    recorded = checkpoint.record.get("seed") if checkpoint else None  # a checkpoint of TensorFlow 1 has none
    return secrets.randbits(31) if recorded is None else int(recorded)
