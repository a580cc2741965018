"""One iteration: a batch through the network, its loss, and new weights; and all of a training's state, to go on from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lsd_experiments.families.pytc import checkpoints
from lsd_experiments.families.pytc.checkpoints import Checkpoint
from lsd_experiments.families.pytc.configuration import Config
from lsd_experiments.families.pytc.criterion import Criterion
from lsd_experiments.families.pytc.networks.building import build
from lsd_experiments.families.pytc.networks.synchronised import synchronised
from lsd_experiments.families.pytc.samples.loader import Batch
from lsd_experiments.families.pytc.solving.averaging import Averaging
from lsd_experiments.families.pytc.solving.optimizer import clip_gradients, make_optimizer
from lsd_experiments.families.pytc.solving.schedule import make_schedule, step_schedule
from lsd_experiments.families.pytc.training.processes import Processes, numbers

SCALER, AVERAGING = "scaler", "swa"  # of a checkpoint, beside what the published program reads
STREAM = 0x6E6574  # of what a network draws itself, apart from samples


@dataclass
class Trainer:
    """A network in training: its optimizer, learning rates and, as asked for, averaged weights and mixed precision."""

    config: Config
    criterion: Criterion
    processes: Processes
    seed: int

    def __post_init__(self) -> None:
        torch.manual_seed(self.seed)
        network = build(self.config)
        if self.config.MODEL.NORM_MODE == "sync_bn" and self.processes.size > 1:
            network = synchronised(network.to(self.processes.device))
        self.network: nn.Module = network.to(self.processes.device).train()
        self.optimizer = make_optimizer(self.config, self.network)
        self.schedule = make_schedule(self.config, self.optimizer)
        swa = self.config.SOLVER.SWA.ENABLED
        self.averaging = Averaging(self.config, self.network, self.optimizer) if swa else None
        self.reduced = self.config.MODEL.MIXED_PRECESION and self.processes.device.type == "cuda"
        self.scaler = torch.amp.GradScaler("cuda", enabled=self.reduced)

    def take(self, checkpoint: Checkpoint, resume: bool, allow_partial: bool = False) -> int:
        """The weights of a checkpoint; and with ``resume`` all else that it has: the iterations that were done."""
        checkpoints.load(self.network, checkpoint, allow_partial)
        if not resume:
            return int(self.config.MODEL.PRE_MODEL_ITER)
        done = checkpoints.resume(checkpoint, self.optimizer, self.schedule)
        if SCALER in checkpoint.more and self.reduced:
            self.scaler.load_state_dict(dict(checkpoint.more[SCALER]))
        if self.averaging and AVERAGING in checkpoint.more:
            self.averaging.load_state_dict(checkpoint.more[AVERAGING])
        return done

    def more(self) -> dict[str, Any]:
        """What a checkpoint holds beside the network, the optimizer and the schedule."""
        found: dict[str, Any] = {SCALER: self.scaler.state_dict()} if self.reduced else {}
        return found | ({AVERAGING: self.averaging.state_dict()} if self.averaging else {})

    @property
    def rate(self) -> float:
        """The learning rate of weights, in the iteration that comes."""
        return float(self.optimizer.param_groups[0]["lr"])

    def run(self, batch: Batch) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """The prediction of a batch on the device, its loss and the loss's parts."""
        with torch.autocast(self.processes.device.type, torch.float16, enabled=self.reduced):
            prediction = self.network(batch.image)
        prediction = prediction.float()
        loss, parts = self.criterion(prediction, batch.targets, batch.weights, batch.known)
        return prediction, loss, parts

    def step(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Train on this process's part of a batch; the prediction, and the means of the loss ("Loss") and its parts.

        The means are those of all processes. Weights are left as they are if the loss is not finite.
        """
        seed = np.random.SeedSequence(self.seed, spawn_key=(STREAM, batch.iteration, self.processes.rank))
        torch.manual_seed(int(seed.generate_state(1)[0]))
        self.optimizer.zero_grad(set_to_none=True)
        prediction, loss, parts = self.run(batch)
        means = self._means({"Loss": loss.detach(), **parts})
        if np.isfinite(means["Loss"]):
            self.scaler.scale(loss).backward()
            self.processes.average_gradients(self.network)
            self.scaler.unscale_(self.optimizer)
            clip_gradients(self.config, self.optimizer)
            self.scaler.step(self.optimizer)
            self.scaler.update()
            self._after(batch.iteration, means["Loss"])
        return prediction.detach(), means

    def _after(self, iteration: int, loss: float) -> None:
        if self.averaging and self.averaging.begun(iteration):
            self.averaging.update(iteration)
            self.averaging.schedule.step()
        elif self.config.SOLVER.LR_SCHEDULER_NAME != "OneCycle" or iteration + 1 < self.config.SOLVER.ITERATION_TOTAL:
            # OneCycle has no rate for what comes after the last iteration
            step_schedule(self.schedule, loss)

    def _means(self, tensors: Mapping[str, Tensor]) -> dict[str, float]:
        found = numbers(tensors)
        totals = self.processes.total(list(found.values()))
        return {name: total / self.processes.size for name, total in zip(found, totals, strict=True)}
