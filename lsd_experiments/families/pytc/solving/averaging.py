"""Stochastic weight averaging: the mean of weights along the end of a training, at a small constant learning rate."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import SWALR, AveragedModel

from lsd_experiments.families.pytc.configuration import Config


class Averaging:
    """Of ``network`` in training with ``optimizer``; see ``SOLVER.SWA``. Learning rates end at LR_FACTOR times the base's."""

    def __init__(self, config: Config, network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self._config, self._network = config, network
        self.model = AveragedModel(network)
        rates = [group.get("initial_lr", group["lr"]) * config.SOLVER.SWA.LR_FACTOR for group in optimizer.param_groups]
        self.schedule = SWALR(optimizer, rates, anneal_epochs=config.SOLVER.SWA.MERGE_ITER)

    @property
    def number(self) -> int:
        """How many weights the mean is of."""
        return int(self.model.n_averaged)

    def begun(self, iteration: int) -> bool:
        """Whether it decides the learning rate after ``iteration`` (the first is 0)."""
        return bool(iteration >= self._config.SOLVER.SWA.START_ITER)

    def update(self, iteration: int) -> None:
        """After ``iteration``: take the weights into the mean, if it is its turn."""
        if self.begun(iteration) and iteration % self._config.SOLVER.SWA.MERGE_ITER == 0:
            self.model.update_parameters(self._network)

    def finish(self, batch: Callable[[], Tensor]) -> nn.Module:
        """The network of averaged weights, its batch norms made anew over BN_UPDATE_ITER batches [b, c, z, y, x]."""
        if self._config.MODEL.NORM_MODE in ("bn", "sync_bn"):
            self.model.train()
            with torch.no_grad():
                for _ in range(self._config.SOLVER.SWA.BN_UPDATE_ITER):
                    self.model(batch())
        module: nn.Module = self.model.module
        return module

    def state_dict(self) -> dict[str, Any]:
        """What is needed to go on."""
        return {"model": self.model.state_dict(), "schedule": self.schedule.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.model.load_state_dict(state["model"])
        self.schedule.load_state_dict(state["schedule"])
