"""daisy's marks of finished blocks: read, and taken back from blocks whose output is not there any more.

They are a zarr 3 array of one byte per block, without compression. Its grid begins where the first block's context does, so that
block 0 of an axis is at ``context // write_shape``.
"""

import itertools
import json
import logging
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.blockwise.blocks import count_blocks, grid_shape
from lsd_experiments.blockwise.engine import BlockTask
from lsd_experiments.blockwise.records import check_done, remove
from lsd_experiments.errors import UserError

logger = logging.getLogger(__name__)

TRIES = 3  # runs of a stage whose blocks go missing meanwhile
Numbers = NDArray[np.int64]


class Missing(Protocol):
    """What is asked of a stage's plan."""

    @property
    def name(self) -> str: ...  # noqa: D102

    def missing_blocks(self, done: Numbers) -> Mapping[str, Iterable[int]]:
        """Those of the blocks ``done``, which the scheduler calls so, whose output is not there as it was written: why, which."""


def run_all(plan: Missing, task: BlockTask, run: Callable[[], None]) -> None:
    """``run`` all blocks of ``task``, and those again that are called done and whose output is not there, before or after.

    :raises UserError: if such blocks are found after each of some runs
    """
    take_back_missing(plan, task)
    for _ in range(TRIES):
        run()
        if not take_back_missing(plan, task):
            return
    raise UserError(f"{plan.name}: blocks that were just done are missing again, {TRIES} times over: something else changes "
                    "the output, or its disk loses what is written. Mend that, and run this again")


def take_back_missing(plan: Missing, task: BlockTask) -> bool:
    """Have blocks done again that are called done, and are not there; whether there are such."""
    done = marked_blocks(task)
    for why, blocks in (missing := {why: list(blocks) for why, blocks in plan.missing_blocks(done).items()}).items():
        if blocks:
            logger.warning("%s: %d of %d finished blocks are done again: %s", plan.name, len(blocks), len(done), why)
            take_back(task, blocks)
    return any(missing.values())


def marked_blocks(task: BlockTask) -> Numbers:
    """The numbers, ascending, of the blocks of ``task`` that its records call done."""
    check_done(task.records)
    grid = _grid(task)
    if grid is None:
        return np.zeros(0, np.int64)
    found = np.zeros(count_blocks(task.total, task.write_shape), bool)
    for path, numbers in _chunks(task, *grid):
        marks = np.fromfile(path, np.uint8) if path.is_file() else np.zeros(0, np.uint8)
        if len(marks) == numbers.size:
            found[numbers[(numbers >= 0) & (marks.reshape(numbers.shape) != 0)]] = True
    return np.flatnonzero(found)


def take_back(task: BlockTask, blocks: Iterable[int]) -> None:
    """Have ``blocks`` of ``task`` done again; no run must be at work on them."""
    wanted = np.unique(np.fromiter(blocks, np.int64))
    grid = _grid(task)
    if grid is None or len(wanted) == 0:
        return
    for path, numbers in _chunks(task, *grid):
        mine = np.isin(numbers, wanted) & (numbers >= 0)
        if mine.any() and path.is_file():
            marks = np.fromfile(path, np.uint8)
            if len(marks) != numbers.size:
                return remove(task.records / "done")
            with path.open("r+b") as file:
                file.write(np.where(mine, 0, marks.reshape(numbers.shape)).astype(np.uint8).tobytes())
                file.flush()
                os.fsync(file.fileno())


def _grid(task: BlockTask) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """The shapes of the array and of its chunks; None if there is none. One that is none of ours is removed."""
    path = task.records / "done" / "done" / "zarr.json"
    if not path.is_file():
        return None
    said: Any = json.loads(path.read_bytes())
    try:
        shape, chunk = tuple(said["shape"]), tuple(said["chunk_grid"]["configuration"]["chunk_shape"])
        fits = len(shape) == len(chunk) == 3 and min(chunk) > 0 and [each["name"] for each in said["codecs"]] == ["bytes"]
        first = _first(task)
        fits = fits and all(s >= f + g for s, f, g in zip(shape, first, grid_shape(task.total, task.write_shape), strict=True))
    except (KeyError, TypeError):
        fits = False
    if not fits:
        remove(task.records / "done")
        return None
    return shape, chunk


def _first(task: BlockTask) -> tuple[int, ...]:
    return tuple(c // w for c, w in zip(task.context, task.write_shape, strict=True))


def _chunks(task: BlockTask, shape: tuple[int, ...], chunk: tuple[int, ...]) -> Iterator[tuple[Path, Numbers]]:
    """The files of the array, each with the numbers of its blocks [z, y, x], -1 where there is none."""
    blocks, first = grid_shape(task.total, task.write_shape), _first(task)
    root = task.records / "done" / "done" / "c"
    for place in itertools.product(*(range(math.ceil(s / c)) for s, c in zip(shape, chunk, strict=True))):
        axes = [np.arange(p * c, (p + 1) * c) - f for p, c, f in zip(place, chunk, first, strict=True)]
        z, y, x = np.ix_(*axes)
        inside = np.ones(chunk, bool)
        for index, size in zip((z, y, x), blocks, strict=True):
            inside &= (index >= 0) & (index < size)
        yield root.joinpath(*map(str, place)), np.where(inside, (z * blocks[1] + y) * blocks[2] + x, -1)
