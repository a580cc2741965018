"""What more training would bring, from the losses of validation so far."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lsd_experiments.training.curve import read_curve

FITTED = 3  # validations that a forecast takes, at least
LEVEL = 0.02  # a loss that would fall by less has levelled off


@dataclass(frozen=True)
class Validation:
    """One row of ``validation.csv``: after ``iteration`` and ``seconds`` of training, the loss on the part that was kept back."""

    iteration: int
    seconds: float
    loss: float


def validations(setup: Path) -> list[Validation]:
    """Those of the training in ``setup``, in their order; none if there was none yet."""
    return [Validation(int(row["iteration"]), row["seconds"], row["loss"]) for row in read_curve(setup)]


def forecast(curve: Sequence[Validation], times: float = 2) -> float | None:
    """The loss after ``times`` the training, if it goes on as it did: a power of the iteration, fitted to the later half.

    None if there are too few validations to say.
    """
    used = [one for one in curve if one.loss > 0 and one.iteration > 0]
    used = used[-max(FITTED, math.ceil(len(used) / 2)):]
    if len(used) < FITTED or len({one.iteration for one in used}) < FITTED:
        return None
    slope, constant = np.polyfit(np.log([one.iteration for one in used]), np.log([one.loss for one in used]), 1)
    return float(math.exp(constant + min(0.0, slope) * math.log(times * used[-1].iteration)))


def shown(curve: Sequence[Validation]) -> list[str]:
    """The curve in words, and what more time would bring."""
    lines = ["Loss on the part that was kept back:", "  iteration  minutes of training  loss"]
    lines += [f"  {one.iteration:>9}  {one.seconds / 60:>19.1f}  {one.loss:.4f}" for one in curve]
    expected = forecast(curve)
    if expected is None:
        return [*lines, f"  Too few validations to say what more time would bring: {FITTED} are needed. The same command with "
                "more --minutes trains on."]
    least, minutes = min(one.loss for one in curve), curve[-1].seconds / 60
    best = [one for one in curve if one.loss <= (1 + LEVEL) * least][-1]
    if best.iteration <= curve[-1].iteration / 2:
        return [*lines, f"  It was least at {best.iteration}, long before the end: more such training would not help."]
    if expected > (1 - LEVEL) * least:
        return [*lines, "  It has levelled off: more time would bring little. A larger network (--memory) or more labels may."]
    return [*lines, f"  It still falls: if it goes on so, {minutes:.0f} minutes more would bring it to about {expected:.3f}."]
