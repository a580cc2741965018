"""The learning rate of each iteration, whatever came before and whenever the training is to end::

    learning rate |     ______________
                  |    /              \\
                  |   /                \\
                  |  /                  \\______   a hundredth
                  +--|---|------------|--|-----   iterations
                       warm_up      FROM TO
"""

from dataclasses import dataclass

FINAL = 0.01  # of the learning rate, after the decay


@dataclass(frozen=True)
class Schedule:
    """``rate``: it grows to that in the first ``warm_up`` iterations, and falls from one iteration of ``decay`` to the other."""

    rate: float
    warm_up: int = 0
    decay: tuple[int, int] | None = None

    @property
    def varies(self) -> bool:
        """Whether there is more than one."""
        return bool(self.warm_up or self.decay)

    def at(self, iteration: int) -> float:
        """The learning rate of the step that ends in ``iteration``; the first is 1."""
        rate = self.rate * min(1.0, iteration / self.warm_up) if self.warm_up else self.rate
        if self.decay is None:
            return rate
        begin, end = self.decay
        done = min(max((iteration - begin) / (end - begin), 0.0), 1.0)
        return rate * (1 - done * (1 - FINAL))
