"""``.pth.tar`` files of PyTorch Connectomics: read as tensors and plain values alone, and written so that it reads them.

A file has ``iteration`` (how many were done), ``state_dict``, ``optimizer`` and ``lr_scheduler``; averaged weights have
``state_dict`` alone, and files of 2019 are one. Names may carry the ``module.`` of DataParallel and DistributedDataParallel.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsd_experiments.checkpoints.torch_weights import load_fitting, read_values, state_in, write_values
from lsd_experiments.errors import UserError
from lsd_experiments.families.pytc.configuration import Config

if TYPE_CHECKING:
    from torch import Tensor, nn

SUFFIX, NAME, BEST, AVERAGED = ".pth.tar", "checkpoint_{:05d}.pth.tar", "checkpoint_best.pth.tar", "checkpoint_swa.pth.tar"
KEYS = ("iteration", "state_dict", "optimizer", "lr_scheduler")
PROGRESS = ("last_epoch", "_step_count", "_last_lr", "best", "num_bad_epochs", "cooldown_counter")  # of schedules
NUMBER_AVERAGED = "n_averaged"  # among averaged weights: of how many they are the mean


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds; what it has not is None. ``more``: what is there besides."""

    path: Path
    state: "Mapping[str, Tensor]"
    iteration: int | None = None
    optimizer: Mapping[str, Any] | None = None
    lr_scheduler: Mapping[str, Any] | None = None
    more: Mapping[str, Any] = field(default_factory=dict)


def read(path: str | Path) -> Checkpoint:
    """What is in a file.

    :raises UserError: if it is damaged, is none, or holds more than tensors and plain values
    """
    path = Path(path)
    if path.is_dir():
        raise UserError(f"{path}: is a directory. Name a checkpoint in it, like {path / NAME.format(100000)}")
    if not path.is_file():
        raise UserError(f"{path}: no such file. Name a checkpoint, like outputs/.../{NAME.format(100000)}")
    found = read_values(path)
    values: Mapping[str, Any] = found if isinstance(found, Mapping) and "state_dict" in found else {}
    inner = found["state_dict"] if values else found
    if isinstance(inner, Mapping) and NUMBER_AVERAGED in inner:
        inner = {name: tensor for name, tensor in inner.items() if name != NUMBER_AVERAGED}
    state = state_in(inner, path)
    iteration = values.get("iteration")
    if iteration is not None and (not isinstance(iteration, int) or iteration < 0):
        raise UserError(f"{path}: its iteration is {iteration!r}, no number. Name another checkpoint")
    parts = {name: values.get(name) for name in ("optimizer", "lr_scheduler")}
    if any(part is not None and not isinstance(part, Mapping) for part in parts.values()):
        raise UserError(f"{path}: its optimizer or lr_scheduler is no state of one. Name another checkpoint")
    return Checkpoint(path, state, iteration, parts["optimizer"], parts["lr_scheduler"],
                      {name: value for name, value in values.items() if name not in KEYS})


def write(
    path: str | Path, network: "nn.Module", iteration: int, optimizer: Any = None, schedule: Any = None, **more: Any
) -> None:
    """Write the state of a training after ``iteration`` iterations, whole or not at all.

    :param more: tensors and plain values, which the published program does not look at
    """
    network = getattr(network, "module", network)  # without a wrapper
    values: dict[str, Any] = {"iteration": iteration, "state_dict": network.state_dict()}
    for name, part in (("optimizer", optimizer), ("lr_scheduler", schedule)):
        if part is not None:
            values[name] = part.state_dict()
    write_values(Path(path), values | more)


def load(network: "nn.Module", checkpoint: Checkpoint, allow_partial: bool = False) -> None:
    """Give a network the weights of a checkpoint.

    :param allow_partial: take the tensors that fit, and log a line for each that does not
    :raises UserError: if they are not those of the network, unless ``allow_partial``; or if none of them is
    """
    correct = "or correct MODEL in the configuration"
    load_fitting(network, checkpoint.state, checkpoint.path, allow_partial, "network",
                 f"Pass --allow-partial for those that fit, {correct}", f"None of its tensors fits, {correct}")


def for_inference(config: Config, checkpoint: Checkpoint, allow_partial: bool = False) -> "nn.Module":
    """The network of a configuration with the weights of a checkpoint, in evaluation; RepVGG blocks are re-parameterised.

    :raises UserError: as :func:`load`
    """
    from lsd_experiments.families.pytc.networks.building import build
    from lsd_experiments.families.pytc.networks.repvgg import fuse, is_fused

    fused = is_fused(list(checkpoint.state))
    network = build(config if fused else _branched(config), fused=fused)
    load(network, checkpoint, allow_partial)
    network.eval()
    fuse(network)
    return network


def resume(checkpoint: Checkpoint, optimizer: Any, schedule: Any) -> int:
    """Give an optimizer and a schedule the state of a checkpoint, as far as it has them; the iterations that were done.

    Of a schedule its progress alone is taken: what is configured, like ITERATION_TOTAL, is the configuration's.

    :raises UserError: if it is of another optimizer
    """
    if checkpoint.optimizer is not None:
        reason = _misfit(optimizer, checkpoint.optimizer)
        if reason:
            raise UserError(f"{checkpoint.path}: its optimizer is not that of this configuration ({reason}). Set "
                            "SOLVER.ITERATION_RESTART True to begin anew with its weights")
        optimizer.load_state_dict(dict(checkpoint.optimizer))
    found = checkpoint.lr_scheduler or {}
    wrong = [name for name in PROGRESS if not isinstance(found.get(name, 0), int | float | bool | list)]
    if wrong:
        raise UserError(f"{checkpoint.path}: {wrong[0]} of its lr_scheduler is no number. Name another checkpoint")
    here = schedule.state_dict()
    schedule.load_state_dict({name: found[name] for name in PROGRESS if name in found and name in here})
    return checkpoint.iteration or 0


def _misfit(optimizer: Any, state: Mapping[str, Any]) -> str | None:
    """Why ``state`` is not of an optimizer with these parameters."""
    groups, states = state.get("param_groups"), state.get("state")
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    if not isinstance(groups, list) or not isinstance(states, Mapping) or not all(isinstance(one, Mapping) for one in groups):
        return "it has no param_groups and state"
    if [one.get("params") for one in groups] != [[number] for number in range(len(parameters))]:
        return f"it has {len(groups)} groups, where the network has {len(parameters)} parameters, a group each"
    kind = "betas" if "betas" in optimizer.param_groups[0] else "momentum"
    for number, parameter in enumerate(parameters):
        if kind not in groups[number]:
            return f"its groups have no {kind}"
        for name, value in states.get(number, {}).items():
            if getattr(value, "ndim", 0) and value.shape != parameter.shape:
                return f"{name} of parameter {number} has shape {tuple(value.shape)}, not {tuple(parameter.shape)}"
    return None


def _branched(config: Config) -> Config:
    """With DEPLOY_MODE off: weights of a training have branches, which are fused afterwards."""
    deploy = config.values["MODEL.DEPLOY_MODE"]
    return Config({**config.values, "MODEL.DEPLOY_MODE": deploy._replace(value=False)})
