"""The losses of heads. Arrays on the host are [b, c, z, y, x]; in Keras, channels are last.

A loss is told, beside a target, what it needs to know of each value: its ``knowledge``, of which the weights are the usual kind.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import gunpowder as gp
    import numpy as np
    from numpy.typing import NDArray

    from lsd_experiments.targets.target import Target

KerasLoss = Callable[[Any, Any], Any]
BY_NUMBER, BY_SUM = "nonzero_weights", "sum_of_weights"
OF_SAMPLE = (1, 2, 3, 4)  # the axes over which a sample's errors are summed


class Loss(Protocol):
    """How a head's prediction is compared with its target."""

    def label(self, target: "Target") -> str:
        """What logs call it."""

    def knowledge(self, target: "Target", batch: "gp.Batch") -> "NDArray[Any]":
        """What it is told beside the target of ``batch``, [b, k, z, y, x]."""

    def in_keras(self, target: "Target") -> KerasLoss:
        """The loss of truth and prediction; the truth is the target and the knowledge, in this order, on the last axis."""

    def gradient(
        self, target: "Target", prediction: "NDArray[Any]", truth: "NDArray[Any]", knowledge: "NDArray[Any]"
    ) -> "NDArray[np.float32]":
        """By the prediction, as snapshots show it."""


@dataclass(frozen=True)
class SquaredError:
    """The published loss, ``sum(w * (prediction - target)^2) / #(w != 0)`` of each sample, and the mean over samples.

    It is TensorFlow's SUM_BY_NONZERO_WEIGHTS. ``divisor``: the number of weights that are not 0, or their sum.
    """

    divisor: str = BY_NUMBER

    def __post_init__(self) -> None:
        known = (BY_NUMBER, BY_SUM)
        assert self.divisor in known, f"divisor is {self.divisor!r}, none of {known}"

    def label(self, target: "Target") -> str:
        """As Keras calls it."""
        return f"{target.name}_loss"

    def knowledge(self, target: "Target", batch: "gp.Batch") -> "NDArray[Any]":
        """The weights."""
        from lsd_experiments.training.keys import channels_first, head_keys

        return channels_first(batch[head_keys(target.name).weights])

    def in_keras(self, target: "Target") -> KerasLoss:
        """On any backend."""
        from keras import ops

        def error(truth: Any, prediction: Any) -> Any:
            targets, weights = ops.split(truth, 2, axis=-1)
            errors = ops.sum(weights * ops.square(prediction - targets), axis=OF_SAMPLE)
            counted = ops.cast(ops.not_equal(weights, 0), errors.dtype) if self.divisor == BY_NUMBER else weights
            return ops.mean(ops.divide_no_nan(errors, ops.sum(counted, axis=OF_SAMPLE)))

        return error

    def gradient(
        self, target: "Target", prediction: "NDArray[Any]", truth: "NDArray[Any]", knowledge: "NDArray[Any]"
    ) -> "NDArray[np.float32]":
        """0 where the weight is."""
        import numpy as np

        counted = knowledge != 0 if self.divisor == BY_NUMBER else knowledge
        divisors = counted.sum(axis=OF_SAMPLE, keepdims=True) * len(knowledge)
        scale = 2 * knowledge / np.where(divisors > 0, divisors, 1)
        values: NDArray[np.float32] = (scale * (prediction - truth)).astype(np.float32)
        return values


PUBLISHED = SquaredError()
