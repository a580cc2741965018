"""Optimizer, schedule and device of a configuration."""

import inspect
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from lsd_experiments.errors import UserError

if TYPE_CHECKING:
    from lsd_experiments.families.cellmap.configuration import Settings


def make_optimizer(settings: "Settings", network: nn.Module) -> torch.optim.Optimizer:
    """The configuration's optimizer; default: RAdam with decoupled weight decay. A class gets parameters and learning rate.

    :raises UserError: if it is none, or of other parameters than the network's
    """
    given = settings.optimizer
    parameters = [one for one in network.parameters() if one.requires_grad]
    if given is None:
        return torch.optim.RAdam(parameters, lr=settings.learning_rate, decoupled_weight_decay=True)
    if isinstance(given, torch.optim.Optimizer):
        there = {id(one) for group in given.param_groups for one in group["params"]}
        if not there & {id(one) for one in parameters}:
            raise UserError(f"{settings.path}: optimizer: has none of the model's parameters. Make it of model.parameters()")
        return given
    try:
        made = given(parameters, lr=settings.learning_rate)
    except (TypeError, ValueError) as error:
        raise UserError(f"{settings.path}: optimizer: is not made of parameters and lr ({error}). Give an optimizer, or its class"
                        ) from error
    if not isinstance(made, torch.optim.Optimizer):
        raise UserError(f"{settings.path}: optimizer: gives a {type(made).__name__}. Give an optimizer, or its class")
    return made


def make_schedule(settings: "Settings", optimizer: torch.optim.Optimizer) -> LRScheduler | None:
    """The configuration's schedule, which is stepped after each epoch; a class gets the optimizer and ``scheduler_kwargs``.

    :raises UserError: if it does not take them, or is of another optimizer
    """
    given, keywords = settings.scheduler, dict(settings.scheduler_kwargs or {})
    if given is None:
        return None
    if isinstance(given, LRScheduler):
        if given.optimizer is not optimizer:
            raise UserError(f"{settings.path}: scheduler: is of another optimizer. Make it of optimizer, or give its class")
        return given
    try:
        made = given(optimizer, **keywords)
    except (TypeError, ValueError) as error:
        said = str(error).replace("__init__() ", "")
        raise UserError(f"{settings.path}: scheduler_kwargs: scheduler does not take them ({said}). Correct them") from error
    if not isinstance(made, LRScheduler):
        raise UserError(f"{settings.path}: scheduler: gives a {type(made).__name__}. Give a scheduler of PyTorch, or its class")
    return made


def step_schedule(schedule: Any, score: float) -> None:
    """After an epoch with ``score``: the validation's, or the mean loss of training where there is none."""
    if "metrics" in inspect.signature(schedule.step).parameters:
        schedule.step(score)
    else:
        schedule.step()


def device_of(settings: "Settings", environment: Mapping[str, str] = os.environ) -> torch.device:
    """The device of this process: as configured, else a GPU if there is one; of several processes each has its own GPU.

    :raises UserError: if it is not there
    """
    local = int(environment.get("LOCAL_RANK", 0))
    if settings.device is None:
        if torch.cuda.is_available():
            return torch.device("cuda", local)
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    device = torch.device(settings.device)
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(device.type, True):
        raise UserError(f"{settings.path}: device: {device} is not there. Give cpu, or leave device out")
    return torch.device("cuda", local) if device.type == "cuda" and device.index is None else device


def replace_parameters(optimizer: torch.optim.Optimizer, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Let an optimizer that was made of the parameters ``before`` have those ``after``, of the same names."""
    new = {id(parameter): after[name] for name, parameter in before.items()}
    for group in optimizer.param_groups:
        group["params"] = [new.get(id(parameter), parameter) for parameter in group["params"]]
