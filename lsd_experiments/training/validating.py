"""Validation in the course of a training: when, what is written of it, and which checkpoint is the best so far."""

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsd_experiments import checkpoints
from lsd_experiments.checkpoints.checkpoint import VALIDATION
from lsd_experiments.descriptors.agreement import CHANNELS, LEARNED, learned
from lsd_experiments.targets import Loss
from lsd_experiments.training.curve import Curve

if TYPE_CHECKING:
    from lsd_experiments.training.trainable import TrainableModel
    from lsd_experiments.training.validation import Validation

logger = logging.getLogger(__name__)
CORRELATION = "_correlation_"  # in the names of scores of descriptors' channels
OF = "of"  # in a record: what scores must have in common to be compared


class Validating:
    """``validation`` of the training in ``directory``, every ``every`` iterations; nothing is written yet.

    ``start``, ``record``: of the checkpoint that it goes on from.

    :raises UserError: if the best checkpoint, or the curve, is damaged
    """

    def __init__(self, validation: "Validation", directory: Path, every: int, start: int, record: Mapping[str, Any]) -> None:
        self.validation, self.every = validation, every
        self.newest: Mapping[str, Any] | None = record.get(VALIDATION)
        best = checkpoints.find_best(directory)
        self.best: Mapping[str, Any] = best.record.get(VALIDATION, {}) if best else {}
        self.curve = Curve(directory, start)

    @property
    def record(self) -> dict[str, Any]:
        """What a checkpoint says of validation: the newest one."""
        return {VALIDATION: self.newest} if self.newest else {}

    def validate(self, iteration: int, model: "TrainableModel", losses: Mapping[str, Loss]) -> tuple[dict[str, float], bool]:
        """The scores, and whether they are the best so far: of the same losses, on the same parts."""
        scores, of = self.validation.scores(model, losses), self.validation.described(losses)
        self.curve.add(iteration, scores)
        metric = of["metric"]
        compared = self.best.get(OF) == of
        is_best = math.isfinite(scores[metric]) and not (compared and scores[metric] >= self.best[metric])
        self.newest = {"iteration": iteration, **scores, OF: of}
        if is_best:
            self.best = self.newest
        said = ", ".join([f"{name} {value:.4g}" for name, value in scores.items() if CORRELATION not in name] + _learned(scores))
        logger.info("validation after iteration %d: %s%s", iteration, said, ", the best so far" if is_best else "")
        return scores, is_best


def _learned(scores: Mapping[str, float]) -> list[str]:
    """How many channels of descriptors follow the truth, in words; nothing without descriptors."""
    found = [value for name, value in scores.items() if CORRELATION in name]
    return [f"correlation above {LEARNED:g} in {learned(found)} of {len(CHANNELS)} channels"] if found else []
