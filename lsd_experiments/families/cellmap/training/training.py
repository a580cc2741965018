"""``csc train``: what is looked at first, the loop over epochs, and its checkpoints.

Nothing is written before all that could be wrong was looked at. SIGTERM and Ctrl-C end a training after the batches that are
accumulated, with a checkpoint; after a ``kill -9`` it goes on from the last epoch that was done, to the same weights.
"""

import logging
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from lsd_experiments.errors import UserError
from lsd_experiments.families.cellmap import checkpoints
from lsd_experiments.families.cellmap.checkpoints import STOPPED, Checkpoint, Record, read_record, record_path, write_record
from lsd_experiments.families.cellmap.data.loading import load_batches
from lsd_experiments.families.cellmap.losses import make_criterion
from lsd_experiments.families.cellmap.networks import build
from lsd_experiments.families.cellmap.training.showing import Board
from lsd_experiments.families.cellmap.training.solving import device_of, step_schedule
from lsd_experiments.families.cellmap.training.stepping import Trainer
from lsd_experiments.families.cellmap.training.validating import Validation
from lsd_experiments.families.pytc.training.processes import STARTED_BY_TORCHRUN, Processes, joined
from lsd_experiments.locks import only_run
from lsd_experiments.training.stopping import NotFinite, stop_requests
from lsd_experiments.writing import check_writable

if TYPE_CHECKING:
    from lsd_experiments.families.cellmap.configuration import Settings

logger = logging.getLogger(__name__)
WORK = "another training of this model is at work"


def train(settings: "Settings", allow_partial: bool = False, environment: Mapping[str, str] = os.environ) -> int:
    """Train as a configuration says; the exit status.

    :raises UserError: if data, weights or sizes do not fit
    """
    several = all(name in environment for name in STARTED_BY_TORCHRUN) and int(environment["WORLD_SIZE"]) > 1
    for path in (settings.checkpoint_path(1).parent, settings.logs_path):
        check_writable(path)
    with joined(device_of(settings, environment), several) as group, ExitStack() as stack:
        training = Training.prepare(settings, group, allow_partial)
        group.wait()
        if group.leads:
            lock = record_path(settings).with_suffix(".lock")
            stack.enter_context(only_run(lock.parent, lock, WORK))
            if where_to_begin(settings) != training.begun_from:
                raise UserError(f"{lock.parent}: {WORK}, or was until now. Start this one again")
        return training.run()


@dataclass
class Training:
    """One run, from ``done`` iterations of the epoch after ``epoch`` on; ``iteration``: how many were done in all."""

    settings: "Settings"
    trainer: Trainer
    samples: Any
    validation: Validation | None
    record: Record
    preprocessing: dict[str, Any]
    begun_from: Any = None
    epoch: int = 0
    done: int = 0
    iteration: int = 0
    _losses: list[float] = field(default_factory=lambda: [0.0, 0.0])  # of the epoch: sum, and known voxels

    @classmethod
    def prepare(cls, settings: "Settings", group: Processes, allow_partial: bool = False) -> "Training":
        """:raises UserError: if data, weights or sizes do not fit"""
        from lsd_experiments.families.cellmap.data.preprocessing import Preprocessing
        from lsd_experiments.families.cellmap.data.samples import Samples, ValidationTiles
        from lsd_experiments.families.cellmap.data.weights import class_weights

        if settings.batch_size % group.size:
            raise UserError(f"{settings.path}: batch_size is {settings.batch_size}, which cannot be shared by {group.size} "
                            "processes. Give a multiple")
        network, _ = build(settings)
        samples = Samples(settings, "train", group.rank, group.size)
        tiles = ValidationTiles(settings)
        weights = class_weights(samples) if settings.weight_loss else None
        trainer = Trainer(settings, network, make_criterion(settings, weights), group)
        check_size(settings, trainer.network)
        made = cls(settings, trainer, samples, Validation(settings, tiles) if len(tiles) else None, Record(),
                   {"raw": Preprocessing.raw(settings).description, "target": Preprocessing.target(settings).description})
        made._begin_from(where_to_begin(settings), allow_partial)
        group.same_state(trainer.network)
        return made

    def _begin_from(self, begin: "tuple[Any, bool] | None", allow_partial: bool) -> None:
        self.begun_from = begin
        if begin is None:
            return
        path, resume = begin
        found: Checkpoint = checkpoints.read(path)
        if not resume:
            checkpoints.load(self.trainer.network, found, allow_partial)
            return
        self.trainer.take(found, allow_partial)
        if "record" in found.more:
            self.record = Record.of(found.more["record"])
        else:
            logger.warning("%s: holds weights alone: the optimizer begins anew", path)
        self.epoch, self.done = found.epoch, found.done
        self.iteration = found.iteration or found.epoch * self.settings.iterations_per_epoch
        self._losses = [float(one) for one in found.more.get("losses", (0.0, 0.0))]

    def run(self) -> int:
        """Train until there are ``epochs`` epochs, or a request to stop; the exit status."""
        leads, settings = self.trainer.processes.leads, self.settings
        if leads:
            self._say()
        board = Board(settings.logs_path, leads and self.epoch < settings.epochs)
        try:
            with stop_requests() as stop_requested:
                while self.epoch < settings.epochs:
                    if self._epoch(board, stop_requested):
                        if leads:
                            print(f"stopped in epoch {self.epoch + 1}: saved; run the same command to go on", file=sys.stderr)
                        return 128 + (stop_requested() or 15)
            return 0
        except NotFinite as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        finally:
            board.close()

    def _say(self) -> None:
        settings, group = self.settings, self.trainer.processes
        directory = settings.checkpoint_path(1).parent
        directory.mkdir(parents=True, exist_ok=True)
        for left in directory.glob(f".{settings.model_name}_*.pth.*"):  # of a process that was killed as it wrote
            left.unlink(missing_ok=True)
        several = f", {group.size} processes" if group.size > 1 else ""
        whence = f"from {self.begun_from[0]}" if self.begun_from else "from the start"
        checked = "" if self.validation else "; there is no validation crop"
        way = f"training until epoch {settings.epochs}, {whence}, on {group.device}{several}{checked}"
        if self.epoch >= settings.epochs:
            way = f"has {self.epoch} epochs, of {settings.epochs}: there is nothing to train"
        print(f"{settings.path}: {settings.model_name}: {way}", file=sys.stderr)

    def _epoch(self, board: Board, stop_requested: Callable[[], int]) -> bool:
        """The rest of an epoch; whether it was stopped within."""
        from tqdm import tqdm

        settings, group = self.settings, self.trainer.processes
        left = range(self.iteration, self.iteration + settings.iterations_per_epoch - self.done)
        shown = None
        with tqdm(total=settings.iterations_per_epoch, initial=self.done, unit="it", desc=f"epoch {self.epoch + 1}",
                  smoothing=0.05, disable=None if group.leads else True) as bar:
            for batch in load_batches(self.samples, left):
                image, target = batch.input.to(group.device), batch.target.to(group.device)
                output = self._step(board, image, target, bar)
                shown = image, target, output
                whole = self.done % settings.gradient_accumulation_steps == 0 or self.done == settings.iterations_per_epoch
                if whole:
                    self.trainer.update()
                    stopping = bool(group.total([float(stop_requested())])[0])
                    if stopping and self.done < settings.iterations_per_epoch:
                        self._save(STOPPED)
                        return True
        self._end_epoch(board, shown)
        return bool(group.total([float(stop_requested())])[0]) and self.epoch < settings.epochs

    def _step(self, board: Board, image: Any, target: Any, bar: Any) -> Any:
        output, total, known = self.trainer.accumulate(self.iteration, image, target)
        if not np.isfinite(total):
            raise NotFinite(f"the loss of iteration {self.iteration + 1} is {total}: training stopped, no checkpoint of it was "
                            "saved. Lower learning_rate, or set max_grad_norm")
        self.iteration, self.done = self.iteration + 1, self.done + 1
        self._losses = [self._losses[0] + total, self._losses[1] + known]
        if known:
            board.loss(self.iteration, total / known)
            bar.set_postfix(loss=f"{total / known:.4f}", lr=f"{self.trainer.rate:.2g}", refresh=False)
        bar.update()
        return output

    def _end_epoch(self, board: Board, shown: Any) -> None:
        settings, rate = self.settings, self.trainer.rate
        value, validated = self.validation.score(self.trainer) if self.validation else (None, None)
        mean = self._losses[0] / self._losses[1] if self._losses[1] else 0.0
        if self.trainer.schedule is not None:
            step_schedule(self.trainer.schedule, mean if value is None else value)
        self.epoch, self.done, self._losses = self.epoch + 1, 0, [0.0, 0.0]
        before = self.record.best
        self.record.add(self.epoch, value, settings.smoothing_window, settings.low_is_best)
        self._save(self.epoch)
        board.epoch(self.epoch, rate, value)
        for kind, tensors in (("train", shown), ("validation", validated)):
            if tensors:
                image, target, output = tensors
                board.pictures(self.epoch, kind, image, target, output, settings.classes)
        if self.trainer.processes.leads:
            validated_to = "" if value is None else f", validation {value:.6g}"
            print(f"epoch {self.epoch}: loss {mean:.6g}{validated_to}, learning rate {rate:.3g}", file=sys.stderr)
            write_record(settings, self.record)
            settings.checkpoint_path(STOPPED).unlink(missing_ok=True)
            for epoch in {before or 0, self.epoch - 1} - {self.record.best, self.epoch, 0}:
                checkpoints.thin(settings.checkpoint_path(epoch or 0))
        self.trainer.processes.wait()

    def _save(self, epoch: int | str) -> None:
        if self.trainer.processes.leads:
            checkpoints.write(self.settings.checkpoint_path(epoch), self.trainer.network, self.epoch, self.iteration, self.done,
                              seed=self.settings.random_seed, settings=checkpoints.described(self.settings), losses=self._losses,
                              preprocessing=self.preprocessing, record=self.record.described(), **self.trainer.state())
        self.trainer.processes.wait()


def check_size(settings: "Settings", network: nn.Module) -> None:
    """Let a network in training run on zeros of the shape of the input, where it is.

    :raises UserError: if it does not take it
    """
    sides = [size for size in settings.input_array_info["shape"] if size > 1]
    device = next((one.device for one in network.parameters()), torch.device("cpu"))
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, 1, *sides, device=device))
        network.train()
    except (RuntimeError, ValueError) as error:  # what PyTorch raises of shapes
        raise UserError(f"{settings.path}: input_array_info: the model does not take an input of {sides} voxels "
                        f"({' '.join(str(error).split())[:120]}). Correct its shape, or model") from error


def where_to_begin(settings: "Settings") -> "tuple[Any, bool] | None":
    """The checkpoint to take, and whether to go on from there; None: from the start.

    A model that has checkpoints goes on from the one that ``load_model`` names; one that has none takes the weights of
    ``model_to_load``.

    :raises UserError: if ``load_model`` is best, and no best one is recorded
    """
    if settings.load_model is None:
        return None
    stopped = settings.checkpoint_path(STOPPED)
    if checkpoints.epochs(settings) or stopped.is_file():
        latest = read_record(settings).latest
        if settings.load_model == "latest" and stopped.is_file() and (
                not latest or checkpoints.read(stopped).epoch >= latest):
            return stopped, True
        return checkpoints.find(settings, settings.load_model), True
    other = settings.model_to_load
    if other != settings.model_name:
        return checkpoints.find(settings, settings.load_model, other), False
    return None


def chosen(settings: "Settings") -> Path:
    """The checkpoint that a prediction takes, as ``load_model`` and ``model_to_load`` say.

    :raises UserError: if there is none
    """
    return checkpoints.find(settings, settings.load_model or "latest", settings.model_to_load)


def network_of(settings: "Settings", path: Path | None = None, allow_partial: bool = False) -> tuple[nn.Module, Checkpoint]:
    """The network with the weights of the checkpoint ``path`` (default: :func:`chosen`).

    :raises UserError: if there are none, or they do not fit
    """
    network, _ = build(settings)
    found = checkpoints.read(path or chosen(settings))
    checkpoints.load(network, found, allow_partial)
    return network.eval(), found
