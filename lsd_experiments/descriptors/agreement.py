"""How predicted descriptors agree with the truth's: of each channel the correlation, and the error beside that of a constant.

A network that gives one value everywhere has a small error where the truth hardly varies, and has learned nothing: its
correlation is none, and its error at least that of the constant, which is the variance of the truth.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.descriptors.channels import COMPONENTS

CHANNELS = tuple(name.replace(" ", "_") for name, _ in COMPONENTS.values())  # as columns of tables are called
LEARNED = 0.8  # a correlation above which a channel follows the truth
LEAST = 1e-9  # variance, below which values are one value up to rounding


def learned(correlations: Iterable[float | None]) -> int:
    """How many are above :data:`LEARNED`; None, where something does not vary, is not."""
    return sum(value is not None and value > LEARNED for value in correlations)


@dataclass(frozen=True)
class Agreement:
    """Of one channel, over ``voxels``; ``correlation`` is None where the truth, or the prediction, does not vary."""

    correlation: float | None
    error: float
    error_of_constant: float
    voxels: int


class AgreementSums:
    """Sums over blocks of as many voxels as one likes, from which the agreement of all of them comes."""

    def __init__(self) -> None:
        self.voxels = 0
        self._sums = np.zeros((len(CHANNELS), 5))  # of p, t, p * p, t * t, p * t

    def add(self, predicted: NDArray[Any], truth: NDArray[Any], counted: NDArray[np.bool_]) -> None:
        """A block: two arrays [10, z, y, x] in [0, 1], and which voxels [z, y, x] count: those inside of objects."""
        self.voxels += int(np.count_nonzero(counted))
        for sums, of_p, of_t in zip(self._sums, predicted, truth, strict=True):
            p, t = (values[counted].astype(np.float64) - 0.5 for values in (of_p, of_t))
            sums += (p.sum(), t.sum(), p @ p, t @ t, p @ t)

    def channels(self) -> Iterator[Agreement]:
        """Of each channel, in order; none, if no voxel counted."""
        for p, t, pp, tt, pt in self._sums / self.voxels if self.voxels else ():
            of_p, of_t = pp - p * p, tt - t * t
            varies = min(of_p, of_t) > LEAST
            correlation = float((pt - p * t) / np.sqrt(of_p * of_t)) if varies else None
            yield Agreement(correlation, float(pp - 2 * pt + tt), float(max(of_t, 0.0)), self.voxels)

    def columns(self, prefix: str) -> dict[str, float]:
        """As columns of a table, each beginning with ``prefix``; the errors are means over channels."""
        found = list(self.channels())
        if not found:
            return {}
        correlations = {f"{prefix}correlation_{name}": one.correlation for name, one in zip(CHANNELS, found, strict=True)}
        return {**{name: value for name, value in correlations.items() if value is not None},
                f"{prefix}error": float(np.mean([one.error for one in found])),
                f"{prefix}error_of_constant": float(np.mean([one.error_of_constant for one in found]))}
