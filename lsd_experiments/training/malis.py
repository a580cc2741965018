"""The training of the variants with a MALIS loss: a phase of the usual losses first, then MALIS for the affinities.

    iteration   1 ......... malis_from | malis_from + 1 .......... N
    loss        weighted squared error | MALIS

The batches of both phases are made alike; what changes is what the last node makes of them. Weights of the network and
the optimizer's state carry over, so that a training may stop and go on anywhere.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gunpowder as gp
import numpy as np
from numpy.typing import NDArray

from lsd_experiments.datasets.dataset import BY_NUMBER, Offsets
from lsd_experiments.malis import connected_objects, edge_weights
from lsd_experiments.training.keys import AFFS_MASK, LABELS, head_keys
from lsd_experiments.training.nodes import Train, channels_first

if TYPE_CHECKING:
    from lsd_experiments.training.trainer import Trainer


class MalisTrain(Train):
    """Train, with a MALIS loss for affinities after iteration ``malis_from``; ``iteration``: the last before this run."""

    def __init__(
        self,
        start: "Callable[[], Trainer]",
        heads: tuple[str, ...],
        neighborhood: Offsets,
        malis_from: int,
        iteration: int,
        loss_divisor: str = BY_NUMBER,
    ) -> None:
        super().__init__(start, heads, loss_divisor)
        self.neighborhood, self.malis_from, self.iteration = neighborhood, malis_from, iteration
        self.in_malis = False

    def process(self, batch: gp.Batch, request: gp.BatchRequest) -> gp.Batch:
        """Train on ``batch``, with the loss of its phase."""
        if self.iteration >= self.malis_from and not self.in_malis:
            self._switch()
        outputs = super().process(batch, request)
        self.iteration += 1
        if self.in_malis:
            self.logs["malis_loss"] = self.logs.pop("affs_loss")
        return outputs

    def weights(self, batch: gp.Batch, name: str) -> NDArray[Any]:
        """Of affinities in the MALIS phase: the edges' mask, and the connected objects, as one more channel."""
        if name != "affs" or not self.in_malis:
            return super().weights(batch, name)
        labels = batch[LABELS]
        spec = gp.ArraySpec(roi=labels.spec.roi, voxel_size=labels.spec.voxel_size)
        found = gp.Array(np.stack([connected_objects(sample) for sample in labels.data]), spec)
        objects = found.crop(batch[head_keys(name).target].spec.roi).data
        return np.concatenate((channels_first(batch[AFFS_MASK]), objects[:, None]), axis=1, dtype=np.float32)

    def gradient(
        self, name: str, prediction: NDArray[Any], target: NDArray[Any], weights: NDArray[Any]
    ) -> NDArray[np.float32]:
        """Of the loss of the phase."""
        if name != "affs" or not self.in_malis:
            return super().gradient(name, prediction, target, weights)
        of_edges = edge_weights(prediction, weights, self.neighborhood)
        values: NDArray[np.float32] = (2 * of_edges * (prediction - target)).astype(np.float32)
        return values

    def _switch(self) -> None:
        """To the MALIS phase."""
        from lsd_experiments.training.malis_loss import malis_error

        if self.trainer is None:
            self.trainer = self.start()
        self.trainer.use_loss("affs", malis_error(self.neighborhood))
        self.in_malis = True
