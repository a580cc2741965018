"""How the descriptors that a network in training predicts agree with the truth's, on validation's blocks."""

from collections.abc import Mapping

import gunpowder as gp
import numpy as np
from numpy.typing import NDArray

from lsd_experiments.descriptors.agreement import AgreementSums
from lsd_experiments.training.experiment import Experiment
from lsd_experiments.training.keys import LABELS, LABELS_MASK, channels_first, head_keys

Outputs = Mapping[str, NDArray[np.float32]]


class DescriptorSums:
    """Of the heads of ``experiment`` that make descriptors: inside of objects, where the mask holds and the loss counts."""

    def __init__(self, experiment: Experiment) -> None:
        kinds = {target.name: getattr(target, "kind", None) for target in experiment.targets}
        self._sums = {name: AgreementSums() for name, kind in kinds.items() if kind == "descriptors"}

    def add(self, batch: gp.Batch, outputs: Outputs) -> None:
        """A block: what was asked of the network, and its outputs, [b, c, z, y, x]."""
        for name, sums in self._sums.items():
            keys = head_keys(name)
            truth, weights = channels_first(batch[keys.target])[0], channels_first(batch[keys.weights])[0]
            roi = batch[keys.target].spec.roi
            objects, mask = (channels_first(batch[key].crop(roi))[0, 0] for key in (LABELS, LABELS_MASK))
            sums.add(outputs[name][0], truth, (objects > 0) & (mask > 0) & (weights[0] > 0))

    def columns(self) -> dict[str, float]:
        """As columns of validation.csv: ``<head>_correlation_<channel>``, ``<head>_error`` and ``<head>_error_of_constant``."""
        return {key: value for name, sums in self._sums.items() for key, value in sums.columns(f"{name}_").items()}
