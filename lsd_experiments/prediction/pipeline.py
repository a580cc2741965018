"""Prediction as a gunpowder pipeline: raw of one block in, uint8 outputs out."""

from collections.abc import Callable

import gunpowder as gp
import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays import Volume
from lsd_experiments.geometry import Box
from lsd_experiments.prediction.block import predict_block
from lsd_experiments.prediction.plan import Plan
from lsd_experiments.sources import VolumeSource, cause_of, world_units

RAW = gp.ArrayKey("RAW")
Outputs = dict[str, NDArray[np.uint8]]


class Predict(gp.BatchFilter):
    """Adds the outputs of a network to each batch that passes; ``outputs``: the arrays, by the names of the heads."""

    def __init__(self, model: "object", outputs: dict[str, gp.ArrayKey], margin: gp.Coordinate) -> None:
        self.model, self.outputs, self.margin = model, outputs, margin

    def setup(self) -> None:
        """Announce the outputs."""
        spec = gp.ArraySpec(
            roi=self.spec[RAW].roi.grow(-self.margin, -self.margin),
            voxel_size=self.spec[RAW].voxel_size,
            interpolatable=True,
            dtype=np.float32,
        )
        for key in self.outputs.values():
            self.provides(key, spec.copy())

    def prepare(self, request: gp.BatchRequest) -> gp.BatchRequest:
        """Ask for the context, too."""
        roi = request[next(iter(self.outputs.values()))].roi
        deps = gp.BatchRequest()
        deps[RAW] = gp.ArraySpec(roi=roi.grow(self.margin, self.margin))
        return deps

    def process(self, batch: gp.Batch, request: gp.BatchRequest) -> gp.Batch:
        """Run the network."""
        predicted = predict_block(self.model, {"raw": batch[RAW].data})
        outputs = gp.Batch()
        for name, key in self.outputs.items():
            spec = self.spec[key].copy()
            spec.roi = request[key].roi.copy()
            outputs[key] = gp.Array(predicted[name], spec)
        return outputs


def block_predictor(plan: Plan) -> Callable[[Box], Outputs]:
    """The function that predicts one block of ``plan``, which a box of its write shape names."""
    network = plan.trained.network
    unit = world_units(plan.raw.voxel_size)
    outputs = {head.name: gp.ArrayKey(head.name.upper()) for head in network.heads}
    model = plan.trained.model(plan.input_shape, plan.settings.precision)
    pipeline = prediction_pipeline(plan.raw, model, outputs, unit, gp.Coordinate(plan.margin) * unit)
    context = gp.build(pipeline)
    context.__enter__()

    def predict(box: Box) -> Outputs:
        request = gp.BatchRequest()
        for key in outputs.values():
            request[key] = gp.ArraySpec(roi=gp.Roi(box.begin, box.shape) * unit)
        try:
            batch = pipeline.request_batch(request)
        except Exception as error:
            raise cause_of(error) from None
        return {name: batch[key].data for name, key in outputs.items()}

    return predict


def prediction_pipeline(
    raw: Volume, model: "object", outputs: dict[str, gp.ArrayKey], unit: gp.Coordinate, margin: gp.Coordinate
) -> gp.Pipeline:
    """From raw on disk to uint8 outputs."""
    pipeline = (
        VolumeSource(RAW, raw, (0, 0, 0), unit, interpolatable=True)
        # To [0, 1] by the type's range; outside of the volume raw is 0.
        + gp.Normalize(RAW)
        + gp.Pad(RAW, None)
        # To the network's range, [-1, 1].
        + gp.IntensityScaleShift(RAW, 2, -1)
        + Predict(model, outputs, margin)
    )
    for key in outputs.values():
        # To 0 to 255, truncated as published.
        pipeline += gp.IntensityScaleShift(key, 255, 0)
        pipeline += gp.AsType(key, np.uint8)
    return pipeline
