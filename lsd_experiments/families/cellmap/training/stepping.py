"""Batches through the network, and new weights after as many of them as are accumulated."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from lsd_experiments.errors import UserError
from lsd_experiments.families.cellmap import checkpoints
from lsd_experiments.families.cellmap.checkpoints import Checkpoint
from lsd_experiments.families.cellmap.losses import Criterion, Sums
from lsd_experiments.families.cellmap.networks import together
from lsd_experiments.families.cellmap.training.solving import make_optimizer, make_schedule, replace_parameters
from lsd_experiments.families.pytc.networks.synchronised import synchronised
from lsd_experiments.families.pytc.training.processes import Processes

if TYPE_CHECKING:
    from lsd_experiments.families.cellmap.configuration import Settings

STREAM = 0x637363  # of what a network draws itself, apart from samples


@dataclass
class Trainer:
    """A network in training. What it draws is a function of the seed and the iteration, so that it can go on anywhere."""

    settings: "Settings"
    network: nn.Module
    criterion: Criterion
    processes: Processes

    def __post_init__(self) -> None:
        device = self.processes.device
        self.optimizer = make_optimizer(self.settings, self.network)
        if self.processes.size > 1:  # batch norms of the whole batch
            before = dict(self.network.named_parameters())
            self.network = synchronised(self.network.to(device))
            replace_parameters(self.optimizer, before, dict(self.network.named_parameters()))
        self.network = self.network.to(device).train()
        self.criterion = self.criterion.to(device)
        self.schedule = make_schedule(self.settings, self.optimizer)
        self._known = 0.0  # of the batches that are accumulated
        self.optimizer.zero_grad(set_to_none=True)

    def take(self, checkpoint: Checkpoint, allow_partial: bool = False) -> None:
        """All of a checkpoint that a training goes on from, or its weights if it has no more.

        :raises UserError: if it is of another model, optimizer or schedule
        """
        checkpoints.load(self.network, checkpoint, allow_partial)
        if not checkpoint.goes_on:
            return
        parts: list[tuple[str, Any]] = [("optimizer", self.optimizer), ("scheduler", self.schedule)]
        for name, part in parts:
            state = checkpoint.more.get(name)
            if part is None or state is None:
                continue
            try:
                part.load_state_dict(state)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise UserError(f"{checkpoint.path}: its {name} is not that of this configuration ({error}). Put back what it "
                                "was, or set load_model = None to begin anew") from error

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds besides the network, to go on from."""
        found: dict[str, Any] = {"optimizer": self.optimizer.state_dict()}
        return found | ({"scheduler": self.schedule.state_dict()} if self.schedule is not None else {})

    @property
    def rate(self) -> float:
        """The learning rate."""
        return float(self.optimizer.param_groups[0]["lr"])

    def accumulate(self, iteration: int, image: Tensor, target: Tensor) -> tuple[Tensor, float, float]:
        """Add the gradients of this process's part of a batch.

        :returns: the output; of all processes the loss of the known voxels, and how many they are, as shares of a batch
        """
        seed = np.random.SeedSequence(self.settings.random_seed, spawn_key=(STREAM, iteration, self.processes.rank))
        torch.manual_seed(int(seed.generate_state(1)[0]))
        outputs = together(self._run(image), self.settings.classes)
        sums = self.criterion(outputs, target)
        total, known = self._summed(sums)
        if np.isfinite(total):
            sums.total.backward()
            self._known += known
        return outputs[0].detach(), total, known

    def _run(self, image: Tensor) -> Any:
        try:
            return self.network(image)
        except ValueError as error:
            if "Expected more than 1 value per channel" not in str(error):
                raise
            raise UserError(f"{self.settings.path}: batch_size: a batch norm sees one value of each channel: batches are of "
                            f"{len(image)}, and patches are small. Give larger patches, or batches") from error

    def update(self) -> None:
        """New weights from the mean gradient over all known voxels of the batches that were accumulated, in all processes."""
        known, self._known = self._known, 0.0
        if known:
            self.processes.average_gradients(self.network)
            for parameter in self.network.parameters():
                if parameter.grad is not None:
                    parameter.grad.mul_(self.processes.size / known)
            if self.settings.max_grad_norm is not None:
                nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.max_grad_norm)
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def evaluate(self, image: Tensor, target: Tensor) -> tuple[Tensor, float, float]:
        """The output, the loss of this process's known voxels, and how many they are; the network must be in evaluation."""
        with torch.no_grad():
            outputs = together(self.network(image), self.settings.classes)
            sums = self.criterion(outputs, target)
        return outputs[0], float(sums.total), float(sums.known)

    def _summed(self, sums: Sums) -> tuple[float, float]:
        total, known = self.processes.total([float(sums.total.detach()), float(sums.known)])
        return total, known
