"""The cost of a network's prediction, measured here: one block of random raw, in a process of its own."""

import multiprocessing
import resource
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from lsd_experiments.report.results import Result

Arguments = tuple[str, int | None, tuple[int, ...], str]  # setup, iteration, input shape, precision


def measure(result: Result) -> Mapping[str, float] | None:
    """``cpu``: CPU seconds per 10^6 voxels of output, and ``memory``: the greater peak of its processes in GiB; None without a
    network.

    The block has the input shape and the precision of the prediction, and is measured when it is predicted for the second time.
    What the network before an auto-context one takes for as many voxels is added.
    """
    said = result.made.get("predict", {}).get("parameters", {})
    training = result.training
    if training is None or training.checkpoint is None or not said.get("input_shape"):
        return None
    shape, precision = tuple(said["input_shape"]), said.get("precision", "float32")
    parts = [_apart((str(training.directory), training.checkpoint.iteration, shape, precision))]
    if training.first is not None:
        first = training.first
        parts.append(_apart((str(first.setup), first.checkpoint.iteration, first.network.input_shape_for(shape), precision)))
    if None in parts:
        result.lacks.append("the measurement of its cost failed")
        return None
    found = [part for part in parts if part is not None]
    return {"cpu": sum(part["cpu"] for part in found), "memory": max(part["memory"] for part in found)}


def _apart(arguments: Arguments) -> Mapping[str, float] | None:
    """What :func:`_measure` finds, in a new process, whose peak memory is its own; None if it fails, and says why on the
    error stream.
    """
    context = multiprocessing.get_context("spawn")
    parent, child = context.Pipe()
    process = context.Process(target=_measure, args=(child, arguments))
    process.start()
    child.close()
    try:
        found: Mapping[str, float] = parent.recv()
    except EOFError:
        return None
    finally:
        process.join()
    return found


def _measure(pipe: Any, arguments: Arguments) -> None:
    from lsd_experiments.prediction.loading import find_trained

    setup, iteration, shape, precision = arguments
    trained = find_trained(setup, iteration, shape)  # type: ignore[arg-type]
    random = np.random.default_rng(0)
    inputs = {
        one.name: random.random(shape if one.channels == 1 else (one.channels, *shape), np.float32)
        for one in trained.network.inputs
    }
    model = trained.model(trained.input_shape, precision)
    model.predict(inputs)
    begin = time.process_time()
    outputs = model.predict(inputs)
    seconds = time.process_time() - begin
    voxels = float(np.prod(next(iter(outputs.values())).shape[-3:]))
    pipe.send({"cpu": seconds / voxels * 1e6, "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20})
