"""Marks of finished blocks are taken back from blocks whose output is not there any more."""

import logging
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.blockwise.blocks import grid_shape
from lsd_experiments.blockwise.done_blocks import DoneBlocks
from lsd_experiments.blockwise.engine import BlockTask
from lsd_experiments.blockwise.records import check_done
from lsd_experiments.errors import UserError
from lsd_experiments.stages.stage import Stage

logger = logging.getLogger(__name__)

TRIES = 3  # runs of a stage whose blocks go missing meanwhile
Numbers = NDArray[np.int64]


def run_all(stage: Stage, task: BlockTask, run: Callable[[], None]) -> None:
    """``run`` all blocks of ``task``, and those again that are called done and whose output is not there, before or after.

    :raises UserError: if such blocks are found after each of some runs
    """
    take_back_missing(stage, task)
    for _ in range(TRIES):
        run()
        if not take_back_missing(stage, task):
            return
    raise UserError(f"{stage.name}: blocks that were just done are missing again, {TRIES} times over: something else changes "
                    "the output, or its disk loses what is written. Mend that, and run this again")


def take_back_missing(stage: Stage, task: BlockTask) -> bool:
    """Have blocks done again that are called done, and are not there; whether there are such."""
    done = marked_blocks(task)
    for why, blocks in (missing := {why: list(blocks) for why, blocks in stage.missing_blocks(done).items()}).items():
        if blocks:
            logger.warning("%s: %d of %d finished blocks are done again: %s", stage.name, len(blocks), len(done), why)
            take_back(task, blocks)
    return any(missing.values())


def marked_blocks(task: BlockTask) -> Numbers:
    """The numbers, ascending, of the blocks of ``task`` that its records call done."""
    check_done(task.records)
    record = _record(task)
    return np.zeros(0, np.int64) if record is None else np.flatnonzero(record.mask())


def take_back(task: BlockTask, blocks: Iterable[int]) -> None:
    """Have ``blocks`` of ``task`` done again; no run must be at work on them."""
    record = _record(task)
    if record is not None:
        record.remove(blocks)


def _record(task: BlockTask) -> DoneBlocks | None:
    directory = task.records / "done"
    return DoneBlocks(directory, grid_shape(task.total, task.write_shape)) if directory.exists() else None
