"""Weights of PyTorch modules: ``.pth`` files, of which nothing but tensors and plain values is ever read.

A file holds a module's ``state_dict()``, or has it under one of :data:`KEYS`, as training programs write it; names may carry the
``module.`` of DataParallel.
"""

import logging
import os
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lsd_experiments.cli import BEST
from lsd_experiments.errors import UserError
from lsd_experiments.networks.torch_network import ITERATION, TorchNetwork, require_torch
from lsd_experiments.writing import sync

logger = logging.getLogger(__name__)

KEYS = ("state_dict", "model_state_dict", "model")
DAMAGE = (OSError, EOFError, RuntimeError, ValueError, KeyError, pickle.UnpicklingError)
OBJECT = re.compile(r"GLOBAL (\S+) (?:was not|whose module)")
WRAPPED = "module."
SHOWN = 3  # names of tensors that a message quotes


@dataclass(frozen=True)
class TorchCheckpoint:
    """A file of weights, and what a :class:`~lsd_experiments.checkpoints.Checkpoint` has besides."""

    path: Path
    iteration: int
    network: TorchNetwork
    record: Mapping[str, Any] = field(default_factory=dict)


def find_weights(directory: str | Path, network: TorchNetwork, iteration: int | str | None = None) -> TorchCheckpoint:
    """The weights of ``iteration`` (default: the newest) in a setup directory.

    :raises UserError: if there are none; those that exist are named
    """
    before, after = map(re.escape, network.weights.split(ITERATION))
    matches = ((re.fullmatch(f"{before}(\\d+){after}", path.name), path) for path in Path(directory).iterdir())
    found = {int(match[1]): path for match, path in matches if match}
    chosen = max(found, default=None) if iteration is None else iteration
    if not isinstance(chosen, int) or chosen not in found:
        there = ", ".join(map(str, sorted(found))) or "none"
        if iteration == BEST:
            raise UserError(f"{directory}: nothing says which weights are the best (found: {there}). Name an iteration")
        wanted = "no weights" if iteration is None else f"no weights of iteration {iteration}"
        raise UserError(f"{directory}: {wanted} named {network.weights} (found: {there}). Put them there, or name others")
    record = {} if network.voxel_size is None else {"voxel_size": network.voxel_size}
    return TorchCheckpoint(found[chosen], chosen, network, record)


def load_weights(module: Any, path: Path) -> None:
    """Load the file ``path`` into a ``torch.nn.Module``.

    :raises UserError: if it is damaged, holds more than weights, or those of another module: what differs is named
    """
    remedy = "Name others, or correct the module"
    load_fitting(module, state_in(read_values(path), path), path, False, "module", remedy, remedy)


def differences(wanted: Mapping[str, Any], state: Mapping[str, Any]) -> list[str]:
    """What keeps the tensors ``state`` from being those of a module that has ``wanted``, in words, one tensor each."""
    wrong = [f"has no {name}" for name in wanted if name not in state]
    wrong += [f"has {name}, which the module has not" for name in state if name not in wanted]
    wrong += [f"has {name} of shape {tuple(state[name].shape)}, not {tuple(tensor.shape)}" for name, tensor in wanted.items()
              if name in state and state[name].shape != tensor.shape]
    return wrong


def load_fitting(
    module: Any, state: Mapping[str, Any], path: Path, allow_partial: bool, whose: str, partly: str, none: str
) -> None:
    """Give ``module`` the tensors ``state`` of the file ``path``.

    :param allow_partial: take those that fit, and log a line for each that does not
    :param whose: what the module is called; ``partly``, ``none``: the remedies where some, and where none of them fit
    :raises UserError: if they are not those of the module, unless ``allow_partial``; or if none of them is
    """
    wanted = module.state_dict()
    wrong = differences(wanted, state)
    fitting = {name: tensor for name, tensor in state.items() if name in wanted and wanted[name].shape == tensor.shape}
    if wrong and not (allow_partial and fitting):
        more = f", and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise UserError(f"{path}: is not of this {whose}: {', '.join(wrong[:SHOWN])}{more}. {partly if fitting else none}")
    for line in wrong:
        logger.warning("%s: %s: left out", path, line)
    module.load_state_dict(fitting, strict=not wrong)


def save_weights(module: Any, directory: str | Path, network: TorchNetwork, iteration: int, record: Mapping[str, Any]) -> Path:
    """Write the module's weights under the name that ``network`` gives them, whole or not at all."""
    path = Path(directory) / network.weights.replace(ITERATION, str(iteration))
    write_values(path, {"iteration": iteration, "state_dict": module.state_dict(), "record": dict(record)})
    return path


def write_values(path: Path, values: Mapping[str, Any]) -> None:
    """Write tensors and plain values to a file, whole or not at all."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        require_torch().save(dict(values), beside)
        sync(beside)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def read_values(path: Path) -> Any:
    """What is in a file of PyTorch, on the CPU.

    :raises UserError: if it is damaged, or holds more than tensors and plain values
    """
    torch = require_torch()
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except DAMAGE as error:
        said = " ".join(str(error).split())
        foreign = OBJECT.search(said)  # PyTorch's advice is to run them
        reason = f"it holds a {foreign[1]}" if foreign else said[:200]
        remedy = "Save the module's state_dict(): other objects are not read, since they could run code"
        raise UserError(f"{path}: is no file of weights, or damaged ({reason}). {remedy}") from error


def state_in(found: Any, path: Path) -> dict[str, Any]:
    """The tensors by name in what was read from ``path``, without the ``module.`` that wrappers put before all names.

    :raises UserError: if there are none
    """
    torch = require_torch()
    for key in KEYS:
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
            break
    if not isinstance(found, Mapping) or not all(isinstance(tensor, torch.Tensor) for tensor in found.values()):
        raise UserError(f"{path}: holds no state_dict, nor one under {', '.join(KEYS)}. Save that of the module")
    state = dict(found)
    while state and all(name.startswith(WRAPPED) for name in state):
        state = {name.removeprefix(WRAPPED): tensor for name, tensor in state.items()}
    return state
