"""Block functions for the engine's tests; they run in worker processes."""

import asyncio
import atexit
import ctypes
import json
import os
import random
import signal
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np

from lsd_experiments.errors import Passing, Unavailable, UserError
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


def overloaded(settings):
    """Raise what may pass in the given blocks, once each."""
    process = fill(settings)

    def sometimes(block):
        tried = Path(settings["path"]).parent / f"tried_{block.number}"
        if block.number in settings["blocks"] and not tried.exists():
            tried.touch()
            raise Passing("s3://data: HTTP 503")
        process(block)
    return sometimes


def refuse(settings):
    raise UserError("weights.h5: not there. Train first")


def refuse_blocks(settings):
    """Raise a UserError in the given blocks."""
    process = fill(settings)

    def sometimes(block):
        if block.number in settings["blocks"]:
            raise UserError(f"raw:volumes/raw: chunk {block.number} is damaged")
        process(block)
    return sometimes


def out_of_reach(settings):
    def process(block):
        raise Unavailable("the database went away. Start it")
    return process


def kill_always(settings):
    """Kill the worker in the given blocks; the others take as long."""
    process = fill(settings)

    def sometimes(block):
        time.sleep(settings["seconds"])
        if block.number in settings["blocks"]:
            os.kill(os.getpid(), signal.SIGKILL)
        process(block)
    return sometimes


def unlucky(settings):
    """All but one worker are killed in their first block; that one takes until three were."""
    process, directory = fill(settings), Path(settings["path"]).parent

    def preempted(block):
        deaths = len(list(directory.glob("death_*")))
        if block.number and deaths < 3:
            (directory / f"death_{os.getpid()}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        while len(list(directory.glob("death_*"))) < 3:
            time.sleep(0.1)
        time.sleep(settings["seconds"] if not block.number else 0)
        process(block)
    return preempted


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


def together(settings):
    """Blocks that wait until ``threads`` of them are in work in this process."""
    process, barrier = fill(settings), threading.Barrier(settings["threads"], timeout=20)

    def wait(block):
        barrier.wait()
        process(block)
    return wait


def hang(settings):
    """Take for ever in the given blocks."""
    process = fill(settings)

    def sometimes(block):
        if block.number in settings["blocks"]:
            with (Path(settings["path"]).parent / "hung").open("a") as log:
                log.write(f"{block.number}\n")
            time.sleep(600)
        process(block)
    return sometimes


def preempted(settings):
    """Workers that are killed in their second block."""
    process, done = fill(settings), []

    def once(block):
        if done:
            with (Path(settings["path"]).parent / "deaths").open("a") as log:
                log.write("x")
            os.kill(os.getpid(), signal.SIGKILL)
        done.append(block)
        process(block)
    return once


def with_gpu(settings):
    """Workers that must have a GPU alone; the first one is killed."""
    process, directory = fill(settings), Path(settings["path"]).parent
    gpu = os.environ["CUDA_VISIBLE_DEVICES"]
    taken = directory / f"gpu_{gpu}"
    if taken.exists() and Path(f"/proc/{taken.read_text()}").exists():
        raise RuntimeError(f"GPU {gpu} is in use")
    taken.write_text(str(os.getpid()))

    def slowly(block):
        time.sleep(0.1)
        if not (directory / "died").exists():
            (directory / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        process(block)
    return slowly


def write_much(settings):
    """Write 300 kB per block beside the array."""
    process = fill(settings)

    def write(block):
        with Path(settings["much"], f"much_{block.number}").open("wb") as file:
            file.write(bytes(300_000))
        process(block)
    return write


def nice(settings):
    """Note how nice the worker is, and its network."""
    process = fill(settings)

    def note(block):
        process(block)
        path = Path(settings["path"]).parent / f"by_{block.number}"
        path.write_text(f"{os.nice(0)} {Path('/proc/self/ns/net').readlink()} {os.environ.get('IN_CONTAINER')}")
        time.sleep(settings.get("seconds", 0))
    return note


def slow_until_released(settings):
    """Blocks that take as long as there is no file ``go``; the token of the run is in the file ``token``."""
    process, directory = fill(settings), Path(settings["path"]).parent
    (directory / "token").write_text(os.environ["LSD_LIFELINE_TOKEN"])

    def wait(block):
        (directory / f"stuck_{block.number}").write_text(str(os.getpid()))
        while not (directory / "go").exists():
            time.sleep(0.1)
        process(block)
    return wait


def stop_once(settings):
    """Stop the worker (SIGSTOP) once at each of the given places: ``factory``, ``exit``, or in a block, by its number."""
    process, directory = fill(settings), Path(settings["path"]).parent

    def stop(place):
        note = directory / f"stopped_{place}"
        try:
            note.open("x").write(str(os.getpid()))
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGSTOP)

    if "factory" in settings["places"]:
        stop("factory")
    if "exit" in settings["places"]:
        threading.Thread(target=lambda: (threading.main_thread().join(), stop("exit"))).start()

    def sometimes(block):
        if block.number in settings["places"]:
            stop(block.number)
        process(block)
    return sometimes


def stop_always(settings):
    """Stop the worker in the given blocks."""
    process = fill(settings)

    def sometimes(block):
        if block.number in settings["blocks"]:
            os.kill(os.getpid(), signal.SIGSTOP)
            time.sleep(1)  # another thread may be the one to hear of it
        process(block)
    return sometimes


def look(settings):
    """Note what each worker's process is like, and leave something in it."""
    directory, descriptors = Path(settings["path"]).parent, list(Path("/proc/self/fd").iterdir())
    found = {"open": {path.name: str(path.readlink()) for path in descriptors if path.exists()},
             "cwd": str(Path.cwd()), "argument": os.environ.get("AN_ARGUMENT"), "left": "left_here" in sys.modules,
             "random": [random.random(), float(np.random.random())],  # noqa: NPY002
             "group": os.getpgid(0), "server": os.getppid(),
             "frameworks": [name for name in ("tensorflow", "torch", "jax", "keras") if name in sys.modules]}
    with warnings.catch_warnings(action="ignore"):  # there is none yet
        found["loop"] = asyncio.get_event_loop_policy().get_event_loop().is_running()
    sys.modules["left_here"] = sys
    atexit.register((directory / f"left_{os.getpid()}").touch)
    (directory / f"worker_{os.getpid()}").write_text(json.dumps(found))
    return fill(settings)


def kill_template(settings):
    """Kill what the server is a fork of."""
    process = fill(settings)

    def kill(block):
        server = Path(f"/proc/{os.getppid()}/stat").read_text().rpartition(")")[2].split()
        os.kill(int(server[1]), signal.SIGKILL)
        time.sleep(60)
        process(block)
    return kill


def hold(settings):
    """Let no other thread of the process run for a while, as compiled code may."""
    process = fill(settings)

    def still(block):
        if block.number in settings["blocks"]:
            ctypes.PyDLL(None).usleep(int(settings["seconds"] * 1e6))
        process(block)
    return still
