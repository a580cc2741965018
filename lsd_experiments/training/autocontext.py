"""The node that gives an auto-context network in training the LSDs of the frozen first one."""

import gunpowder as gp
import numpy as np

from lsd_experiments.networks.protocols import Model
from lsd_experiments.networks.shapes import Shape
from lsd_experiments.prediction.autocontext import predict_lsds
from lsd_experiments.prediction.loading import Trained
from lsd_experiments.training.keys import PREDICTED_LSDS, RAW


class PredictLsds(gp.BatchFilter):
    """Adds PREDICTED_LSDS [b, 10, z, y, x] in [0, 1], in the middle of RAW [b, z, y, x] in [-1, 1].

    The model is built with the first batch, when a PreCache above has forked its workers.
    """

    def __init__(self, lsds: Trained, raw_shape: Shape, precision: str) -> None:
        self.lsds, self.raw_shape, self.precision = lsds, raw_shape, precision
        self.model: Model | None = None

    def setup(self) -> None:
        """Announce the LSDs, wherever there is raw around them."""
        spec = self.spec[RAW].copy()
        spec.dtype = np.float32
        self.provides(PREDICTED_LSDS, spec)

    def prepare(self, request: gp.BatchRequest) -> gp.BatchRequest:
        """Raw is asked for by the loop, with the context of both networks."""
        deps = gp.BatchRequest()
        deps[RAW] = request[RAW].copy()
        return deps

    def process(self, batch: gp.Batch, request: gp.BatchRequest) -> gp.Batch:
        """Predict each sample."""
        if self.model is None:
            self.model = self.lsds.model(self.raw_shape, self.precision)
        raw = batch[RAW]
        predicted = np.stack([predict_lsds(self.model, sample) for sample in raw.data])
        unit = raw.spec.voxel_size
        whole = self.spec[PREDICTED_LSDS].copy()
        whole.roi = raw.spec.roi.grow(*[-(gp.Coordinate(self.lsds.network.context) / 2 * unit)] * 2)
        outputs = gp.Batch()
        outputs[PREDICTED_LSDS] = gp.Array(predicted, whole).crop(request[PREDICTED_LSDS].roi)
        return outputs
