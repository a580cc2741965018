"""Prediction as a gunpowder pipeline: raw (and LSDs) of one block in, uint8 outputs out.

Several threads may ask for blocks at a time: each has a pipeline of its own, and the networks, which they share, run one block
after the other. So a block is read and another one is written while the network runs.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gunpowder as gp
import numpy as np
from numpy.typing import NDArray

from lsd_experiments import arrays
from lsd_experiments.geometry import Box, Voxels
from lsd_experiments.networks.protocols import Arrays, Model, Outputs
from lsd_experiments.prediction.autocontext import LSDS
from lsd_experiments.prediction.block import to_disk_range, to_network_range
from lsd_experiments.prediction.passes import Pass
from lsd_experiments.prediction.plan import Plan
from lsd_experiments.sources import VolumeSource, cause_of, world_units

logger = logging.getLogger(__name__)

TO_NETWORK: dict[str, Callable[[NDArray[Any]], NDArray[np.float32]]] = {"raw": to_network_range, LSDS: arrays.to_unit_range}


class Device:
    """What the networks of a worker run on, one at a time, and how much of the time it does."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begin: float | None = None
        self._busy = 0.0
        self._runs = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        """While open, no other thread is in here."""
        with self._lock:
            start = time.monotonic()
            self._begin = self._begin or start
            yield
            self._busy += time.monotonic() - start
            self._runs += 1

    def share(self) -> tuple[int, float, float]:
        """How often networks ran, for how many seconds, and seconds from the first one's begin until now."""
        return self._runs, self._busy, time.monotonic() - (self._begin or time.monotonic())


class Predict(gp.BatchFilter):
    """Adds what a network makes of its inputs to each batch that passes, as uint8.

    ``unit``: the voxel size in world units.
    """

    def __init__(self, one: Pass, model: Model, unit: gp.Coordinate, device: Device) -> None:
        self.one, self.model, self.unit, self.device = one, model, unit, device
        self.inputs = {source.name: _key(source.name) for source in one.trained.network.inputs}
        self.outputs = {head.name: _key(head.name) for head in one.trained.network.heads}
        self.channels = {head.name: head.predicted_channels for head in one.trained.network.heads}

    def setup(self) -> None:
        """Announce the outputs: everywhere, since the inputs are padded."""
        for key in self.outputs.values():
            spec = next(self.spec[source] for source in self.inputs.values()).copy()
            spec.dtype = np.dtype(np.uint8)
            self.provides(key, spec)

    def prepare(self, request: gp.BatchRequest) -> gp.BatchRequest:
        """Ask for the context, too."""
        deps = gp.BatchRequest()
        for key in self.inputs.values():
            deps[key] = gp.ArraySpec(self._roi(self.one.read(self._asked(request))))
        return deps

    def process(self, batch: gp.Batch, request: gp.BatchRequest) -> gp.Batch:
        """Run the network, and keep what is asked for."""
        asked = self._asked(request)
        read = self.one.read(asked)
        inputs = {name: TO_NETWORK[name](batch[key].crop(self._roi(read)).data) for name, key in self.inputs.items()}
        predicted = self._predict(inputs, read, asked)
        outputs = gp.Batch()
        for name, key in self.outputs.items():
            if key in request:
                spec = self.spec[key].copy()
                spec.roi = self._roi(self.one.given(asked))
                outputs[key] = gp.Array(to_disk_range(predicted[name][: self.channels[name]]), spec).crop(request[key].roi)
        return outputs

    def _predict(self, inputs: Arrays, read: Box, asked: Box) -> Outputs:
        """The heads in ``one.given(asked)``; ``inputs`` are those of ``read``."""
        tiling = self.one.tiling
        if tiling is None:
            with self.device.running():
                return self.model.predict(inputs)

        def patch(begin: Voxels) -> Outputs:
            needed = Box.of_shape(self.one.output_shape, begin).grow(self.one.margin).shift([-b for b in read.begin])
            index: Any = (..., *needed.slices)
            arrays = {name: values[index] for name, values in inputs.items()}
            with self.device.running():
                return tiling.ensemble.predict(self.model, arrays, tiling.core)

        return tiling.gather(asked, patch)

    def _asked(self, request: gp.BatchRequest) -> Box:
        roi = next(request[key].roi for key in self.outputs.values() if key in request) / self.unit
        return Box(tuple(roi.begin), tuple(roi.end))

    def _roi(self, box: Box) -> gp.Roi:
        return gp.Roi(box.begin, box.shape) * self.unit


def block_predictor(plan: Plan) -> Callable[[Box], dict[str, NDArray[np.uint8]]]:
    """The function that predicts a block of ``plan``: from its box to [c, z, y, x], by the names of the heads.

    Threads may call it at a time. How much of the time the networks run is logged with each block.
    """
    unit = world_units(plan.grid.voxel_size)
    # Auto-context on the fly has two networks: what the first one makes is an input of the second.
    models = [one.trained.model(one.input_shape, plan.settings.precision) for one in plan.passes]
    keys = {head.name: _key(head.name) for head in plan.trained.network.heads}
    device, own = Device(), threading.local()

    def pipeline() -> gp.Pipeline:
        if not hasattr(own, "pipeline"):
            own.pipeline = _pipeline(plan, models, unit, device)
        return own.pipeline

    def predict(box: Box) -> dict[str, NDArray[np.uint8]]:
        roi = gp.Roi(box.begin, box.shape) * unit
        request = gp.BatchRequest({key: gp.ArraySpec(roi) for key in keys.values()})
        try:
            batch = pipeline().request_batch(request)
        except Exception as error:
            raise cause_of(error) from error
        logger.info("the networks ran %d times, %.1f s of %.1f s", *device.share())
        return {name: batch[key].data for name, key in keys.items()}

    return predict


def _pipeline(plan: Plan, models: list[Model], unit: gp.Coordinate, device: Device) -> gp.Pipeline:
    pipeline = _sources(plan, unit)
    for one, model in zip(plan.passes, models, strict=True):
        pipeline += Predict(one, model, unit, device)
    pipeline.setup()
    return pipeline


def _key(name: str) -> gp.ArrayKey:
    """The array of an input, or of a head: the same for what one network makes and the next one takes."""
    return gp.ArrayKey(name.upper())


def _sources(plan: Plan, unit: gp.Coordinate) -> gp.Pipeline:
    """The volumes, each with zeros around it, together."""
    padded = []
    for name, volume in plan.inputs.items():
        in_grid, in_volume = arrays.overlap(plan.grid, volume)
        begin = tuple(g - v for g, v in zip(in_grid.begin, in_volume.begin, strict=True))
        scaling = plan.raw.low_high if name == "raw" and plan.raw else None
        source = VolumeSource(_key(name), volume, begin, unit, interpolatable=True, scaling=scaling)
        padded.append(source + gp.Pad(_key(name), None))
    together: gp.Pipeline = padded[0] if len(padded) == 1 else tuple(padded) + gp.MergeProvider()
    return together
