"""What is done to values before a network sees them: one thing for training, validation and prediction. Imports PyTorch.

    Preprocessing.raw(settings)(tensor)                    # of validation and prediction
    Preprocessing.raw(settings, training=True)(tensor, seed=3)
"""

import contextlib
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lsd_experiments.families.cellmap.configuration import Settings
from lsd_experiments.families.cellmap.transforms import describe, from_names, is_random


@dataclass(frozen=True)
class Preprocessing:
    """``transform`` takes [1, ...] and gives it, values changed."""

    transform: Any
    is_random: bool | None = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "is_random", is_random(self.transform))

    @classmethod
    def raw(cls, settings: Settings, training: bool = False) -> "Preprocessing":
        """Of raw; only in training with what is random."""
        return cls(settings.train_raw_value_transforms if training else settings.val_raw_value_transforms)

    @classmethod
    def target(cls, settings: Settings) -> "Preprocessing":
        """Of the labels of one class, as float32, NaN where they are unknown."""
        return cls(settings.target_value_transforms)

    @classmethod
    def of(cls, description: Any) -> "Preprocessing":
        """That which :attr:`description` was of.

        :raises UserError: if that is of other people's code
        """
        return cls(from_names(description, "the checkpoint's preprocessing"))

    @property
    def description(self) -> Any:
        """What it is, as JSON has it; equal for equal ones."""
        found = describe(self.transform)
        return found if isinstance(found, list) else [found]

    def __call__(self, tensor: Tensor, seed: int | None = None) -> Tensor:
        """``tensor`` with its values changed.

        :param seed: of what is random; None: whatever PyTorch's generator is at
        """
        if seed is None or self.is_random is False:
            changed: Tensor = self.transform(tensor)
            return changed
        with seeded(seed):
            changed = self.transform(tensor)
        return changed


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """The common generators of random numbers at ``seed``, and after that where they were."""
    states = torch.random.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002 (the user's code may use it)
    torch.random.default_generator.manual_seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    random.seed(seed)
    try:
        yield
    finally:
        torch.random.set_rng_state(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        random.setstate(states[2])
