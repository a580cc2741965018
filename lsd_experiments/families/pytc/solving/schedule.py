"""Learning rates by iteration. PyTorch's epoch is an iteration here; attributes are those of published checkpoints."""

import math
from bisect import bisect_right
from collections.abc import Sequence

import torch
from torch.optim.lr_scheduler import LRScheduler, MultiStepLR, OneCycleLR, ReduceLROnPlateau

from lsd_experiments.families.pytc.configuration import Config

PATIENCE, THRESHOLD, LEAST = 1000, 0.001, 1e-6  # of ReduceLROnPlateau, as published


class _Warmup(LRScheduler):
    """Learning rates that grow over ``warmup_iters``: from ``warmup_factor`` on (linear), or at that (constant)."""

    def __init__(self, optimizer: torch.optim.Optimizer, warmup_factor: float, warmup_iters: int, warmup_method: str) -> None:
        self.warmup_factor, self.warmup_iters, self.warmup_method = warmup_factor, warmup_iters, warmup_method
        super().__init__(optimizer)

    def get_lr(self) -> list[float]:
        """Of each group, in the iteration that comes."""
        return [rate * self._warmup() * self.factor() for rate in self.base_lrs]

    def factor(self) -> float:
        """After warming up, the part of the base rate."""
        raise NotImplementedError

    def _warmup(self) -> float:
        if self.last_epoch >= self.warmup_iters:
            return 1.0
        if self.warmup_method == "constant":
            return float(self.warmup_factor)
        done = self.last_epoch / self.warmup_iters
        return float(self.warmup_factor * (1 - done) + done)


class WarmupCosineLR(_Warmup):
    """Half a cosine over ``max_iters``."""

    def __init__(self, optimizer: torch.optim.Optimizer, max_iters: int, *warmup: float | int | str) -> None:
        self.max_iters = max_iters
        super().__init__(optimizer, *warmup)  # type: ignore[arg-type]

    def factor(self) -> float:
        """See :class:`_Warmup`."""
        return 0.5 * (1.0 + math.cos(math.pi * self.last_epoch / self.max_iters))


class WarmupMultiStepLR(_Warmup):
    """A factor ``gamma`` at each of the ``milestones``."""

    def __init__(self, optimizer: torch.optim.Optimizer, milestones: Sequence[int], gamma: float,
                 *warmup: float | int | str) -> None:
        self.milestones, self.gamma = list(milestones), gamma
        super().__init__(optimizer, *warmup)  # type: ignore[arg-type]

    def factor(self) -> float:
        """See :class:`_Warmup`."""
        return float(self.gamma ** bisect_right(self.milestones, self.last_epoch))


def make_schedule(config: Config, optimizer: torch.optim.Optimizer) -> LRScheduler | ReduceLROnPlateau:
    """The schedule of ``SOLVER.LR_SCHEDULER_NAME``: step it once after each iteration, ReduceLROnPlateau with the loss.

    :raises UserError: if its steps are not in order
    """
    solver = config.SOLVER
    name, warmup = solver.LR_SCHEDULER_NAME, (solver.WARMUP_FACTOR, solver.WARMUP_ITERS, solver.WARMUP_METHOD)
    if "MultiStep" in name and sorted(solver.STEPS) != solver.STEPS:
        raise config.wrong("SOLVER.STEPS", f"is {solver.STEPS}, but iterations must be in ascending order")
    if name == "WarmupCosineLR":
        return WarmupCosineLR(optimizer, solver.ITERATION_TOTAL, *warmup)
    if name == "WarmupMultiStepLR":
        return WarmupMultiStepLR(optimizer, solver.STEPS, solver.GAMMA, *warmup)
    if name == "MultiStepLR":
        return MultiStepLR(optimizer, solver.STEPS, solver.GAMMA)
    if name == "OneCycle":  # the published one asks for a key that there is not
        rates = [group["lr"] for group in optimizer.param_groups]
        return OneCycleLR(optimizer, rates, total_steps=solver.ITERATION_TOTAL)
    return ReduceLROnPlateau(optimizer, "min", solver.GAMMA, PATIENCE, THRESHOLD, "rel", 0, LEAST, 1e-8)


def step_schedule(schedule: LRScheduler | ReduceLROnPlateau, loss: float) -> None:
    """After an iteration with ``loss``."""
    if isinstance(schedule, ReduceLROnPlateau):
        schedule.step(loss)
    else:
        schedule.step()
