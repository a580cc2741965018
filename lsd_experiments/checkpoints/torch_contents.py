"""What a file of PyTorch's holds, whoever wrote it: tensors, the state of an optimizer, and how far a training was."""

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lsd_experiments.checkpoints.torch_weights import read_values, state_in
from lsd_experiments.cli import BEST
from lsd_experiments.errors import UserError

ENDINGS = (".pth", ".pth.tar", ".pt")
NUMBERED = re.compile(r"[^.].*?_(?P<iteration>\d+)(?:\.pth\.tar|\.pth|\.pt)")  # checkpoint_00100.pth.tar
NAMED_BEST = "checkpoint_best.pth.tar"
BUFFERS = ("running_mean", "running_var", "num_batches_tracked", "_tmp_running_mean", "_tmp_running_var", "_running_iter")
SLOTS = {"momentum_buffer": "SGD", "exp_avg": "Adam"}  # what an optimizer of each kind remembers
Facts = dict[str, Any]


@dataclass(frozen=True)
class TorchContents:
    """``parameters``: numbers in all tensors but statistics; ``facts``: what a family that knows the network says of it."""

    path: str
    tensors: int
    parameters: int
    iteration: int | None
    optimizer: str | None
    steps: int | None
    facts: Facts = field(default_factory=dict)
    format: str = "PyTorch"

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def is_torch(path: Path) -> bool:
    """Whether the name of a file is that of PyTorch's."""
    return path.is_file() and path.name.endswith(ENDINGS)


def find_torch(directory: Path, iteration: int | str | None = None) -> Path | None:
    """PyTorch's file of ``iteration``, or the ``"best"``, in a directory (default: the newest); None if it has none at all.

    :raises UserError: if it has others; they are named
    """
    found = {int(match["iteration"]): path for path in directory.iterdir()
             if (match := NUMBERED.fullmatch(path.name)) and path.is_file()}
    best = directory / NAMED_BEST
    if iteration == BEST and best.is_file():
        return best
    if not found:
        return None
    chosen = max(found) if iteration is None else iteration
    if chosen not in found:
        there = ", ".join(map(str, sorted(found)))
        wanted = "no best checkpoint" if chosen == BEST else f"no checkpoint of iteration {chosen}"
        raise UserError(f"{directory}: {wanted} (found: {there}). Name one that exists")
    return found[int(chosen)]


def inspect_torch(path: Path, describe: Callable[[Mapping[str, Any]], Facts] | None = None) -> TorchContents:
    """What the file ``path`` holds.

    :param describe: what is said of a network, by its tensors' names
    :raises UserError: if it is damaged, or holds more than tensors and plain values
    """
    found = read_values(path)
    values: Mapping[str, Any] = found if isinstance(found, Mapping) else {}
    state = state_in(found, path)
    iteration = values.get("iteration") if "state_dict" in values else None
    optimizer, steps = _optimizer(values.get("optimizer") if "state_dict" in values else None)
    parameters = sum(tensor.numel() for name, tensor in state.items() if name.rpartition(".")[2] not in BUFFERS)
    return TorchContents(str(path), len(state), parameters, iteration if isinstance(iteration, int) else None, optimizer, steps,
                         {} if describe is None else describe(state))


def _optimizer(state: Any) -> tuple[str | None, int | None]:
    """Its kind, and the steps that it counted, if it does."""
    states = state.get("state") if isinstance(state, Mapping) else None
    if not isinstance(states, Mapping) or not states:
        return None, None
    first = next(iter(states.values()))
    kind = next((kind for slot, kind in SLOTS.items() if isinstance(first, Mapping) and slot in first), "another one")
    steps = first.get("step") if isinstance(first, Mapping) else None
    return kind, None if steps is None else int(steps)
