"""Rejection of samples that show too little (DATASET.REJECT_SAMPLING)."""

from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Rejection:
    """A sample is rejected, with ``probability``, if it has fewer foreground voxels than ``size`` or ids than ``diversity``.

    0 counts as an id, and a test that is not above 0 is not made. Each test that fails draws a number of its own.
    """

    size: int = -1
    diversity: int = -1
    probability: float = 0.95

    @property
    def tests(self) -> bool:
        """Whether a sample can be rejected at all."""
        return max(self.size, self.diversity) > 0

    def keeps(self, labels: NDArray[Any], random: Random | np.random.Generator) -> bool:
        """Whether the sample with ``labels`` [z, y, x] is kept."""
        if self.size > 0 and np.count_nonzero(labels) < self.size and random.random() < self.probability:
            return False
        too_few = self.diversity > 0 and len(np.unique(labels)) < self.diversity
        return not (too_few and random.random() < self.probability)
