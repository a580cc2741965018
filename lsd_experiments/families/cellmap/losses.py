"""The loss of a training: the configuration's criterion, of each voxel by itself, and its mean over the voxels that are known.

A target is NaN where it is not known: such voxels have no part in the loss, nor in how many there are.
"""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from lsd_experiments.errors import UserError

if TYPE_CHECKING:
    from lsd_experiments.families.cellmap.configuration import Settings

WEIGHT, REDUCTION = "pos_weight", "reduction"


@dataclass(frozen=True)
class Sums:
    """``total``: the loss of all known voxels, and ``known``: how many they are, both as shares of all voxels of the target."""

    total: Tensor
    known: Tensor


@dataclass(frozen=True)
class Criterion:
    """``module``: of the configuration; ``weights``: of each class's positive voxels [c], if the module does not take them."""

    module: nn.Module
    weights: Tensor | None
    where: str

    def __call__(self, outputs: Sequence[Tensor], target: Tensor) -> Sums:
        """The loss of the outputs, [b, c, ...] each, against ``target`` [b, c, ...]; of several outputs the mean.

        :raises UserError: if the criterion does not take them
        """
        known = ~target.isnan()
        filled = torch.where(known, target, 0.0)
        parts = [self._one(output, filled, known) for output in outputs]
        total = torch.stack([part.total for part in parts]).mean()
        return Sums(total, torch.stack([part.known for part in parts]).mean())

    def _one(self, output: Tensor, target: Tensor, known: Tensor) -> Sums:
        output = torch.where(known, output, output.detach()) if output.shape == known.shape else output
        try:
            loss = self.module(output, target)
        except (ValueError, RuntimeError, IndexError, TypeError) as error:
            raise UserError(f"{self.where}: criterion: does not take outputs of {list(output.shape)} and targets of "
                            f"{list(target.shape)} ({' '.join(str(error).split())[:120]}). Correct model or criterion") from error
        if not isinstance(loss, Tensor):
            raise UserError(f"{self.where}: criterion: gives a {type(loss).__name__}, no tensor. Correct it")
        if loss.shape == target.shape:
            if self.weights is not None:
                loss = loss * (1 + (_along_channels(self.weights, loss.ndim) - 1) * target)
            mask = known
        elif loss.ndim and loss.shape == target.shape[:1] + target.shape[2:]:  # of all classes together
            mask = known.all(dim=1)
        else:  # it is one number
            share = known.float().mean()
            return Sums(loss.mean() * share, share)
        return Sums(torch.where(mask, loss, 0.0).mean(), mask.float().mean())

    def to(self, device: torch.device) -> "Criterion":
        """The same on a device."""
        weights = None if self.weights is None else self.weights.to(device)
        return Criterion(self.module.to(device), weights, self.where)


def make_criterion(settings: "Settings", weights: Tensor | None = None) -> Criterion:
    """The criterion of a configuration.

    :param weights: of each class [c], with ``weight_loss``
    :raises UserError: if it does not take its ``criterion_kwargs``
    """
    made, keywords = settings.criterion or nn.BCEWithLogitsLoss, dict(settings.criterion_kwargs or {})
    if REDUCTION in keywords:
        raise UserError(f"{settings.path}: criterion_kwargs: reduction is not taken: the loss is the mean over known voxels. "
                        "Leave it out")
    if isinstance(made, nn.Module):
        if keywords:
            raise UserError(f"{settings.path}: criterion_kwargs: criterion is made already. Give its class, or leave them out")
        if hasattr(made, REDUCTION):
            made.reduction = "none"
        return Criterion(made, weights, str(settings.path))
    taken = _keywords(made)
    if weights is not None and WEIGHT in taken and WEIGHT not in keywords:
        keywords[WEIGHT], weights = _along_channels(weights, _axes(settings) + 2)[0], None
    if WEIGHT in keywords and not isinstance(keywords[WEIGHT], Tensor):
        given = torch.as_tensor(keywords[WEIGHT], dtype=torch.float32)
        keywords[WEIGHT] = _along_channels(given, _axes(settings) + 2)[0] if given.ndim == 1 else given
    if REDUCTION in taken:
        keywords[REDUCTION] = "none"
    try:
        found = made(**keywords)
    except (TypeError, ValueError) as error:
        said = str(error).replace("__init__() ", "")
        raise UserError(f"{settings.path}: criterion_kwargs: criterion does not take them ({said}). Correct them") from error
    return Criterion(found, weights, str(settings.path))


def _axes(settings: "Settings") -> int:
    return sum(size > 1 for size in settings.target_array_info["shape"])


def _along_channels(values: Tensor, axes: int) -> Tensor:
    """[c] as [1, c, 1, ...]."""
    return values.reshape(1, -1, *(1 for _ in range(axes - 2)))


def _keywords(made: Any) -> Mapping[str, Any]:
    try:
        return inspect.signature(made).parameters
    except (TypeError, ValueError):
        return {}
