"""Optimizers: SGD, Adam and AdamW, with a group for each parameter, as the published checkpoints have them."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from lsd_experiments.families.pytc.configuration import Config

NORMS = (nn.modules.batchnorm._BatchNorm, nn.GroupNorm, nn.modules.instancenorm._InstanceNorm, nn.LayerNorm, nn.LocalResponseNorm)


def make_optimizer(config: Config, network: nn.Module) -> torch.optim.Optimizer:
    """The optimizer of ``SOLVER.NAME``; norms and biases have their own decay, biases their own learning rate."""
    solver = config.SOLVER
    groups = list(parameter_groups(config, network))
    if solver.NAME == "SGD":
        return torch.optim.SGD(groups, solver.BASE_LR, momentum=solver.MOMENTUM)
    made: type[torch.optim.Adam | torch.optim.AdamW] = {"Adam": torch.optim.Adam, "AdamW": torch.optim.AdamW}[solver.NAME]
    return made(groups, solver.BASE_LR, betas=tuple(solver.BETAS))


def parameter_groups(config: Config, network: nn.Module) -> Iterator[dict[str, Any]]:
    """Each parameter with its learning rate and decay, in the order of the network's modules."""
    solver, seen = config.SOLVER, set()
    for module in network.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if not parameter.requires_grad or parameter in seen:
                continue
            seen.add(parameter)
            rate, decay = solver.BASE_LR, solver.WEIGHT_DECAY
            if isinstance(module, NORMS):
                decay = solver.WEIGHT_DECAY_NORM
            elif name == "bias":
                rate, decay = rate * solver.BIAS_LR_FACTOR, solver.WEIGHT_DECAY_BIAS
            yield {"params": [parameter], "lr": rate, "weight_decay": decay}


def clip_gradients(config: Config, optimizer: torch.optim.Optimizer) -> None:
    """Clip the gradient of each parameter by itself, as published, if ``SOLVER.CLIP_GRADIENTS`` says so: before each step."""
    clip = config.SOLVER.CLIP_GRADIENTS
    if not clip.ENABLED:
        return
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if clip.CLIP_TYPE == "value":
                torch.nn.utils.clip_grad_value_(parameter, clip.CLIP_VALUE)
            else:
                torch.nn.utils.clip_grad_norm_(parameter, clip.CLIP_VALUE, clip.NORM_TYPE)
