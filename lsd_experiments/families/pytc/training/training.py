"""A training from a configuration: what is looked at first, the loop, and its checkpoints.

Nothing is written before all that could be wrong was looked at. SIGTERM and Ctrl-C end it after the iteration that it is at, with
a checkpoint; after a ``kill -9`` it goes on from the last one that was saved, to the same weights.
"""

import json
import logging
import os
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, cuda

from lsd_experiments.errors import UserError
from lsd_experiments.families.pytc import checkpoints
from lsd_experiments.families.pytc.checkpoints import AVERAGED, BEST, NAME, Checkpoint
from lsd_experiments.families.pytc.configuration import Config
from lsd_experiments.families.pytc.criterion import criterion_of
from lsd_experiments.families.pytc.networks.building import check_size
from lsd_experiments.families.pytc.samples.configured import training_sampler
from lsd_experiments.families.pytc.samples.loader import load_batches
from lsd_experiments.families.pytc.training.processes import Processes, processes
from lsd_experiments.families.pytc.training.showing import Board
from lsd_experiments.families.pytc.training.starting import remove_unfinished, where_to_begin
from lsd_experiments.families.pytc.training.stepping import Trainer
from lsd_experiments.families.pytc.training.validating import Validation
from lsd_experiments.locks import only_run
from lsd_experiments.training.stopping import LOCK, WORK, NotFinite, stop_requests
from lsd_experiments.writing import check_writable

logger = logging.getLogger(__name__)
SAVED = "config.yaml"
PROBABILITIES, ENDS_WITH_SIGMOID = "WeightedBCE", "unetv0"
SEED, BEST_LOSS, CONFIGURATION = "seed", "best_loss", "configuration"  # of a checkpoint, beside what the published program reads


def train(config: Config, checkpoint: Path | None = None, allow_partial: bool = False, seed: int | None = None,
          local_rank: int | None = None) -> int:
    """Train as a configuration says, in DATASET.OUTPUT_PATH; the exit status.

    :param checkpoint: weights to begin with, and to go on from unless SOLVER.ITERATION_RESTART
    :param seed: of weights and samples (default: that of the checkpoint, else 0, as published)
    :raises UserError: if volumes, weights or sizes do not fit
    """
    directory = Path(config.DATASET.OUTPUT_PATH)
    _check(config)
    check_size(config)
    check_writable(directory)
    with processes(config, local_rank) as group, ExitStack() as stack:
        path, resume = where_to_begin(config, directory, checkpoint)
        read = checkpoints.read(path) if path else None
        training = Training.prepare(config, directory, group, read, resume, allow_partial, seed)
        group.wait()  # until all have read
        if group.leads:
            stack.enter_context(only_run(directory, directory / LOCK, WORK))
            if where_to_begin(config, directory, checkpoint) != (path, resume):
                raise UserError(f"{directory}: {WORK}, or was until now. Start this one again")
        return training.run(f"from {path}" if path else "from the start")


def _check(config: Config) -> None:
    """:raises UserError: if something is asked for that only inference has"""
    if config.MODEL.AUX_OUT:
        raise config.wrong("MODEL.AUX_OUT", "is for inference with weights that have it: it is not trained. Leave it out")
    if config.MODEL.OUTPUT_SIZE != config.MODEL.INPUT_SIZE:
        raise config.wrong("MODEL.OUTPUT_SIZE", f"is {config.MODEL.OUTPUT_SIZE}, but networks give the size they get, "
                           f"{config.MODEL.INPUT_SIZE}. Make them equal")
    for losses, activations in zip(config.MODEL.LOSS_OPTION, config.MODEL.OUTPUT_ACT, strict=False):
        if config.MODEL.ARCHITECTURE != ENDS_WITH_SIGMOID and (PROBABILITIES, "none") in zip(losses, activations, strict=False):
            raise config.wrong("MODEL.OUTPUT_ACT", f"is {config.MODEL.OUTPUT_ACT}, but {PROBABILITIES} is a loss of "
                               f"probabilities. Give it sigmoid, or take {PROBABILITIES}WithLogitsLoss")
    if config.MONITOR.VIS_OPT[0]:
        raise config.wrong("MONITOR.VIS_OPT", f"is {config.MONITOR.VIS_OPT}: consecutive sections alone, 0, are shown")
    swa, last = config.SOLVER.SWA, config.SOLVER.ITERATION_TOTAL
    if swa.ENABLED and not any(number % swa.MERGE_ITER == 0 for number in range(swa.START_ITER, last)):
        raise config.wrong("SOLVER.SWA.START_ITER", f"is {swa.START_ITER}: from there on no multiple of MERGE_ITER "
                           f"{swa.MERGE_ITER} comes before ITERATION_TOTAL {last}, so that no weights would be averaged. Take an "
                           "earlier one")
    if min(*config.MONITOR.ITERATION_NUM, config.MONITOR.VIS_OPT[1]) < 1:
        raise config.wrong("MONITOR.ITERATION_NUM", "and the sections of VIS_OPT must be above 0")


@dataclass
class Training:
    """One run, of the iterations from ``done`` on."""

    config: Config
    directory: Path
    trainer: Trainer
    sampler: Any
    validation: Validation | None
    done: int
    seed: int
    best: float

    @classmethod
    def prepare(cls, config: Config, directory: Path, group: Processes, checkpoint: Checkpoint | None, resume: bool,
                allow_partial: bool, seed: int | None) -> "Training":
        """:raises UserError: if volumes, weights or sizes do not fit"""
        more = checkpoint.more if checkpoint and resume else {}
        seed = int(more.get(SEED, 0)) if seed is None else seed
        criterion = criterion_of(config.tree)
        if config.SOLVER.SAMPLES_PER_BATCH % group.size:
            raise config.wrong("SOLVER.SAMPLES_PER_BATCH", f"is {config.SOLVER.SAMPLES_PER_BATCH}, which cannot be shared by "
                               f"{group.size} processes. Give a multiple")
        sampler = training_sampler(config.tree, seed, group.rank, group.size)
        validation = Validation.of(config)
        trainer = Trainer(config, criterion, group, seed)
        done = trainer.take(checkpoint, resume, allow_partial) if checkpoint else int(config.MODEL.PRE_MODEL_ITER)
        group.same_state(trainer.network)
        return cls(config, directory, trainer, sampler, validation, done, seed, float(more.get(BEST_LOSS, np.inf)))

    def run(self, whence: str) -> int:
        """Train until ITERATION_TOTAL, or a request to stop; the exit status."""
        was, last, leads = self.done, self.config.SOLVER.ITERATION_TOTAL, self.trainer.processes.leads
        if leads:
            self._begin(whence)
        board = Board(self.config, self.directory, leads)
        try:
            with stop_requests() as stop_requested:
                if self.done < last:
                    board.describe(self.trainer.network)
                    self._iterate(board, stop_requested)
                if self.done < last:
                    if leads:
                        print(f"stopped at iteration {self.done}: saved; run the same command to go on", file=sys.stderr)
                    return 128 + (stop_requested() or 15)
                if was < last or not (self.directory / AVERAGED).exists():
                    self._finish(stop_requested)
            return 0
        except NotFinite as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        finally:
            board.close()

    def _begin(self, whence: str) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        remove_unfinished(self.directory)
        self.config.save(self.directory / SAVED)
        group = self.trainer.processes
        several = f", {group.size} processes" if group.size > 1 else ""
        last = self.config.SOLVER.ITERATION_TOTAL
        way = f"training until iteration {last}, {whence}, on {group.device}{several}"
        if self.done >= last:
            way = f"has {self.done} iterations, of SOLVER.ITERATION_TOTAL {last}: there is nothing to train"
        print(f"{self.directory}: {way}", file=sys.stderr)
        if self.config.MODEL.MIXED_PRECESION and not self.trainer.reduced:
            logger.warning("MODEL.MIXED_PRECESION: is for GPUs; this trains in float32")
        if group.size == 1 and cuda.device_count() > 1:
            logger.warning("this trains on one of %d GPUs. For all: torchrun --nproc_per_node=%d main.py --distributed ...",
                           cuda.device_count(), cuda.device_count())

    def _iterate(self, board: Board, stop_requested: Callable[[], int]) -> None:
        from tqdm import tqdm

        solver, group = self.config.SOLVER, self.trainer.processes
        batches = load_batches(self.sampler, range(self.done, solver.ITERATION_TOTAL), solver.SAMPLES_PER_BATCH, group.rank,
                               group.size, self.workers, pin_memory=group.device.type == "cuda")
        silent = not (group.leads and self.config.MONITOR.LOG_OPT[0])
        with tqdm(total=solver.ITERATION_TOTAL, initial=self.done, unit="it", desc="training", smoothing=0.05,
                  disable=silent) as bar:
            for made in batches:
                batch, rate = made.to(group.device), self.trainer.rate
                prediction, means = self.trainer.step(batch)
                if not np.isfinite(means["Loss"]):
                    raise NotFinite(f"the loss of iteration {self.done + 1} is {means['Loss']}: training stopped, no checkpoint "
                                    "of it was saved. Lower SOLVER.BASE_LR, or set SOLVER.CLIP_GRADIENTS.ENABLED")
                self.done += 1
                board.add(self.done, means, rate)
                if board.wants_sections(self.done):
                    board.sections(self.done, batch, prediction)
                bar.set_postfix(loss=f"{means['Loss']:.4f}", lr=f"{rate:.2g}", refresh=False)
                bar.update()
                if self._saves(board, bool(group.total([float(stop_requested())])[0])):
                    return

    def _saves(self, board: Board, stopping: bool) -> bool:
        """After an iteration, validate and save if it is the time; whether to stop."""
        solver = self.config.SOLVER
        ends = stopping or self.done == solver.ITERATION_TOTAL
        if self.validation and (self.done % solver.ITERATION_VAL == 0 or self.done == solver.ITERATION_TOTAL):
            self._validate(self.validation, board)
        if ends or self.done % solver.ITERATION_SAVE == 0:
            self._save(NAME.format(self.done))
        return ends

    def _validate(self, validation: Validation, board: Board) -> None:
        loss, first = validation.loss(self.trainer, self.workers)
        board.validation(self.done, loss)
        if first:
            board.sections(self.done, *first, "_Val")
        logger.info("iteration %d: validation loss %g", self.done, loss)
        if loss < self.best:
            self.best = loss
            self._save(BEST)

    def _save(self, name: str) -> None:
        if self.trainer.processes.leads:
            more = {SEED: self.seed, CONFIGURATION: json.dumps(self.config.tree), **self.trainer.more()}
            if np.isfinite(self.best):
                more[BEST_LOSS] = self.best
            checkpoints.write(self.directory / name, self.trainer.network, self.done, self.trainer.optimizer,
                              self.trainer.schedule, **more)
            logger.info("saved %s", self.directory / name)
        self.trainer.processes.wait()

    def _finish(self, stop_requested: Callable[[], int]) -> None:
        """The averaged weights, if they are asked for: with batch norms of samples that come after the last iteration."""
        averaging, solver, group = self.trainer.averaging, self.config.SOLVER, self.trainer.processes
        if averaging is None:
            return
        if not averaging.number:
            logger.warning("SOLVER.SWA: no weights were averaged in this training: no %s is written", AVERAGED)
            return
        iterations = range(solver.ITERATION_TOTAL, solver.ITERATION_TOTAL + solver.SWA.BN_UPDATE_ITER)
        batches = iter(load_batches(self.sampler, iterations, solver.SAMPLES_PER_BATCH, group.rank, group.size, self.workers))

        def image() -> Tensor:
            if number := stop_requested():
                sys.exit(128 + number)
            return next(batches).image.to(group.device)

        network = averaging.finish(image)
        if group.leads:
            checkpoints.write(self.directory / AVERAGED, network, self.done, **{CONFIGURATION: json.dumps(self.config.tree)})
        group.wait()

    @property
    def workers(self) -> int:
        """Processes that make samples, of those that SYSTEM.NUM_CPUS allows and that there are."""
        there = len(os.sched_getaffinity(0))
        allowed = min(self.config.SYSTEM.NUM_CPUS, there)
        return max(0, allowed // self.trainer.processes.size) if self.config.SYSTEM.NUM_CPUS else 0

