"""Write a volume into a directory of its own, block by block and level by level: what is interrupted goes on.

    .<name>.partial/            becomes <name> when all is there
        .making/made.json       the provenance; what was begun of another one is begun anew
        .making/lock            held by the run that is at work
        .making/s0/done ...     which blocks are done, of each level
"""

import json
import math
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from lsd_experiments.arrays import open_volume
from lsd_experiments.arrays.creating import put
from lsd_experiments.arrays.written import record_all
from lsd_experiments.blockwise import Block, BlockTask
from lsd_experiments.blockwise.blocks import block_at, grid_shape
from lsd_experiments.blockwise.done_blocks import DoneBlocks
from lsd_experiments.conversion.layouts import Layout, create, open_level
from lsd_experiments.conversion.reducing import read_reduced
from lsd_experiments.conversion.view import View
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box, Voxels
from lsd_experiments.locks import only_run
from lsd_experiments.masks.blockwise import grow
from lsd_experiments.writing import put_json, sync_directory

MAKING = ".making"
BLOCK_BYTES = 2**26  # of a block of a coarser level and what it is made of, about
BASE_MEMORY = 400 * 2**20  # bytes of a worker, and of its process that writes, before its first block
LEFT = (".__lock", ".partial")  # suffixes of what processes leave that are killed while they write a chunk

Process = Callable[[Block], None]


def partial_of(target: Path) -> Path:
    """Where ``target`` is written."""
    return target.with_name(f".{target.name}.partial")


@contextmanager
def begun(layout: Layout, target: Path, made: Mapping[str, Any], name: str, check: Callable[[], None]) -> Iterator[Path]:
    """The directory to write what becomes ``target``, of provenance ``made``: with what an earlier run did of the same.

    :param name: of the volume, for those who look at it
    :param check: raises a UserError if ``target`` cannot be there; called when no other run can make it
    :raises UserError: if another run is at work on it
    """
    directory, lock = partial_of(target), partial_of(target) / MAKING / "lock"
    with only_run(target, lock, "another run is writing it") as file:
        _check_lock(lock, file, target)
        note = directory / MAKING / "made.json"
        try:
            check()
        except UserError:
            if not note.exists():
                shutil.rmtree(directory)
            raise
        if not _is_same(note, made):
            note.unlink(missing_ok=True)
            _clear(directory, lock)
            create(layout, directory, name, made)
            put_json(note, made)
        yield directory


def finish(layout: Layout, target: Path) -> None:
    """Give what was written its place, which is that of ``target``; what is there goes."""
    directory = partial_of(target)
    for parent, _, files in os.walk(directory):
        for left in (file for file in files if file.endswith(LEFT)):
            Path(parent, left).unlink()
    if layout.kind == "zarr":
        record_all(open_level(layout, directory, 0))
    put(directory, target)
    sync_directory(target.parent)
    shutil.rmtree(target / MAKING)


def level_task(layout: Layout, directory: Path, number: int, shape: Voxels, source: tuple[str, str] | None = None) -> BlockTask:
    """What is done to the blocks, of ``shape`` voxels, of level ``number``.

    :param source: container and dataset of what is written, which workers open themselves; None: no worker does
    """
    size = math.prod(shape) * (layout.channels or 1) * layout.dtype.itemsize
    return BlockTask(f"level {number}", layout.levels[number].box, shape, f"{__name__}:make_worker", {
        "source": source, "layout": layout.to_json(), "directory": str(directory), "level": number,
    }, directory / MAKING / f"s{number}", memory=BASE_MEMORY + 4 * size, imports=(__name__,))


def coarse_shape(layout: Layout, number: int) -> Voxels:
    """The voxels of a block of level ``number``, which is made of the one before: whole units of it."""
    voxel = layout.dtype.itemsize * (layout.channels or 1) * math.prod(layout.levels[number].factors)
    return grow(layout.units(number), layout.levels[number].shape, BLOCK_BYTES // voxel)


def make_worker(values: dict[str, Any]) -> Process:
    """What works on one block; ``values``: those of :func:`level_task`."""
    layout = Layout.from_json(values["layout"])
    return block_function(layout, Path(values["directory"]), values["level"], lambda: View(open_volume(*values["source"])))


def block_function(layout: Layout, directory: Path, number: int, source: Callable[[], View]) -> Process:
    """What writes one block of level ``number``: of ``source``, or of the level before."""
    level, target = layout.levels[number], open_level(layout, directory, number)
    view = None if number else source()
    finer = open_level(layout, directory, number - 1) if number else None

    def process(block: Block) -> None:
        box = block.write.intersect(level.box)
        if finer is not None:
            values = read_reduced(finer, level, box, layout.how)
        else:
            assert view is not None, "the first level is made of the source"
            values = view.read(box)
        target.write(box, values)

    return process


def work_here(task: BlockTask, process: Process, told: Callable[[Box, bool], Any]) -> None:
    """Do all blocks of ``task`` that are not done, in this process; ``told`` of each box, and whether it was done before."""
    done = DoneBlocks(task.records / "done", grid_shape(task.total, task.write_shape))
    for number, was_done in enumerate(done.mask().ravel().tolist()):
        block = block_at(task.total, task.write_shape, task.context, number)
        if not was_done:
            process(block)
            done.add(number)
        told(block.write.intersect(task.total), bool(was_done))


def count_left(task: BlockTask) -> int:
    """How many blocks of ``task`` are not done."""
    return int(np.count_nonzero(DoneBlocks(task.records / "done", grid_shape(task.total, task.write_shape)).mask() == 0))


def _check_lock(path: Path, file: IO[str], target: Path) -> None:
    """:raises UserError: if the run that held the lock has just given the directory its place"""
    try:
        is_ours = path.stat().st_ino == os.fstat(file.fileno()).st_ino
    except FileNotFoundError:
        is_ours = False
    if not is_ours:
        raise UserError(f"{target}: another run has just made it. Run this again to see whether it is the same")


def _is_same(note: Path, made: Mapping[str, Any]) -> bool:
    try:
        said = json.loads(note.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(said, dict) and all(said.get(key) == made.get(key) for key in ("key", "again"))


def _clear(directory: Path, lock: Path) -> None:
    """Remove all in ``directory`` but its lock."""
    for path in (*directory.iterdir(), *lock.parent.iterdir()):
        if path.is_dir() and path != lock.parent:
            shutil.rmtree(path)
        elif path not in (lock.parent, lock):
            path.unlink()
