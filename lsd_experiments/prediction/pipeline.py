"""Prediction as a gunpowder pipeline: raw of one block in, uint8 outputs out."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import gunpowder as gp
import numpy as np
from numpy.typing import NDArray

from lsd_experiments.geometry import Box
from lsd_experiments.prediction.block import predict_block, to_disk_range, to_network_range
from lsd_experiments.prediction.plan import Plan
from lsd_experiments.sources import VolumeSource, cause_of, world_units

if TYPE_CHECKING:
    import keras

RAW = gp.ArrayKey("RAW")


class Predict(gp.BatchFilter):
    """Adds what ``model`` makes of raw to each batch that passes.

    ``outputs``: the arrays, by the names of the heads. ``margin``: the context on each side, in world units.
    """

    def __init__(self, model: "keras.Model", outputs: dict[str, gp.ArrayKey], margin: gp.Coordinate) -> None:
        self.model, self.outputs, self.margin = model, outputs, margin

    def setup(self) -> None:
        """Announce the outputs."""
        raw = self.spec[RAW]
        roi = raw.roi.grow(-self.margin, -self.margin)
        for key in self.outputs.values():
            self.provides(key, gp.ArraySpec(roi, raw.voxel_size, interpolatable=True, dtype=np.uint8))

    def prepare(self, request: gp.BatchRequest) -> gp.BatchRequest:
        """Ask for the context, too."""
        roi = request[next(iter(self.outputs.values()))].roi
        deps = gp.BatchRequest()
        deps[RAW] = gp.ArraySpec(roi.grow(self.margin, self.margin))
        return deps

    def process(self, batch: gp.Batch, request: gp.BatchRequest) -> gp.Batch:
        """Run the network."""
        predicted = predict_block(self.model, {"raw": to_network_range(batch[RAW].data)})
        outputs = gp.Batch()
        for name, key in self.outputs.items():
            spec = self.spec[key].copy()
            spec.roi = request[key].roi.copy()
            outputs[key] = gp.Array(to_disk_range(predicted[name]), spec)
        return outputs


def block_predictor(plan: Plan) -> Callable[[Box], dict[str, NDArray[np.uint8]]]:
    """The function that predicts a block of ``plan``: from its box to [c, z, y, x], by the names of the heads."""
    unit = world_units(plan.raw.voxel_size)
    keys = {head.name: gp.ArrayKey(head.name.upper()) for head in plan.trained.network.heads}
    model = plan.trained.model(plan.input_shape, plan.settings.precision)
    pipeline = (
        VolumeSource(RAW, plan.raw, (0, 0, 0), unit, interpolatable=True)
        # Outside of the volume raw is 0.
        + gp.Pad(RAW, None)
        + Predict(model, keys, gp.Coordinate(plan.margin) * unit)
    )
    pipeline.setup()

    def predict(box: Box) -> dict[str, NDArray[np.uint8]]:
        roi = gp.Roi(box.begin, box.shape) * unit
        request = gp.BatchRequest({key: gp.ArraySpec(roi) for key in keys.values()})
        try:
            batch = pipeline.request_batch(request)
        except Exception as error:
            raise cause_of(error) from error
        return {name: batch[key].data for name, key in keys.items()}

    return predict
