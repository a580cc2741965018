"""Block functions for the engine's tests; they run in worker processes."""

import os
import signal
import time
from pathlib import Path

import numpy as np

from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box


def fill(settings):
    """Write each block's number into a raw file, clipped, and note which process did."""
    shape = tuple(settings["shape"])
    array = np.memmap(settings["path"], np.int32, "r+", shape=shape)

    def process(block):
        array[block.write.intersect(Box.of_shape(shape)).slices] += block.number + 1
        array.flush()
        note = f"{os.getpid()} {block.read.begin} {block.read.end}"
        (Path(settings["path"]).parent / f"by_{block.number}").write_text(note)
    return process


def fail(settings):
    """Raise in the given blocks while the file ``broken`` exists."""
    process = fill(settings)

    def sometimes(block):
        if block.number in settings["blocks"] and Path(settings["broken"]).exists():
            with Path(settings["broken"]).open("a") as log:
                log.write(f"{block.number}\n")
            raise ValueError(f"cannot do\nblock {block.number}")
        process(block)
    return sometimes


def die(settings):
    """Kill the worker in the given blocks, once each."""
    process = fill(settings)

    def sometimes(block):
        died = Path(settings["path"]).parent / f"died_{block.number}"
        if block.number in settings["blocks"] and not died.exists():
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        process(block)
    return sometimes


def refuse(settings):
    raise UserError("weights.h5: not there. Train first")


def refuse_block(settings):
    def process(block):
        raise UserError("raw:volumes/raw: NaN at (0, 1, 2). Mask it out")
    return process


def broken_factory(settings):
    raise RuntimeError("no such device")


def slow(settings):
    """Blocks that take for ever from the third on."""
    process = fill(settings)

    def sometimes(block):
        if block.number >= 2:
            (Path(settings["path"]).parent / f"stuck_{block.number}").write_text(str(os.getpid()))
            time.sleep(600)
        process(block)
    return sometimes
