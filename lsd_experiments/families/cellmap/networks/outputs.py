"""What a module gives: a tensor, several of them, or one for each class by name."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from lsd_experiments.errors import UserError


def together(given: Any, classes: Sequence[str]) -> list[Tensor]:
    """The outputs of a module, each of them [b, c, ...] of all classes.

    A mapping with the names of all classes is one output, in their order; another mapping, or a sequence, is several.

    :raises UserError: if it is something else
    """
    if isinstance(given, Tensor):
        return [given]
    if isinstance(given, Mapping) and all(name in given for name in classes):
        return [torch.cat([given[name] for name in classes], dim=1)]
    found = list(given.values() if isinstance(given, Mapping) else given) if isinstance(given, Mapping | list | tuple) else []
    if not found or not all(isinstance(one, Tensor) for one in found):
        raise UserError(f"model: gives a {type(given).__name__}, not a tensor, a list of tensors, or a dict of them. Correct the "
                        "configuration's model")
    return found
