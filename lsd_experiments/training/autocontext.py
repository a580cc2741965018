"""The node that gives the second network of auto-context, in training, what the frozen first one predicts."""

from collections.abc import Callable

import gunpowder as gp
import numpy as np

from lsd_experiments.networks.protocols import Model, NetworkLike
from lsd_experiments.prediction.autocontext import predict_lsds
from lsd_experiments.training.keys import FIRST_PREDICTION, RAW


class PredictFirst(gp.BatchFilter):
    """Adds FIRST_PREDICTION [b, c, z, y, x] in [0, 1], in the middle of RAW [b, z, y, x] in [-1, 1].

    ``model`` is called with the first batch, when a PreCache above has forked its workers.
    """

    def __init__(self, network: NetworkLike, model: Callable[[], Model]) -> None:
        self.network, self.model = network, model

    def setup(self) -> None:
        """Announce the prediction, wherever there is raw around them."""
        spec = self.spec[RAW].copy()
        spec.dtype = np.float32
        self.provides(FIRST_PREDICTION, spec)

    def prepare(self, request: gp.BatchRequest) -> gp.BatchRequest:
        """Raw is asked for by the loop, with the context of both networks."""
        deps = gp.BatchRequest()
        deps[RAW] = request[RAW].copy()
        return deps

    def process(self, batch: gp.Batch, request: gp.BatchRequest) -> gp.Batch:
        """Predict each sample."""
        raw = batch[RAW]
        predicted = np.stack([predict_lsds(self.model(), sample) for sample in raw.data])
        unit = raw.spec.voxel_size
        whole = self.spec[FIRST_PREDICTION].copy()
        whole.roi = raw.spec.roi.grow(*[-(gp.Coordinate(self.network.context) / 2 * unit)] * 2)
        outputs = gp.Batch()
        outputs[FIRST_PREDICTION] = gp.Array(predicted, whole).crop(request[FIRST_PREDICTION].roi)
        return outputs
