"""Checkpoints of a training, one for each epoch, and a record of which is the best and which the newest.

    checkpoints/{model_name}_{epoch}.pth       as model_save_path says; epochs count from 1
    checkpoints/{model_name}_stopped.pth       of a training that was asked to stop within an epoch
    checkpoints/{model_name}_record.json       validation of each epoch, the best one, the newest one

A file holds ``state_dict``, ``epoch``, ``iteration``, ``seed``, ``settings``, ``preprocessing`` and ``record``; the newest and
the best one ``optimizer`` and ``scheduler``, too, to go on from. Files of the published toolbox are a bare state_dict; they are
read, and written on demand. Nothing but tensors and plain values is ever read.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsd_experiments.checkpoints.torch_weights import load_fitting, read_values, state_in, write_values
from lsd_experiments.errors import UserError
from lsd_experiments.writing import put_json

if TYPE_CHECKING:
    from torch import Tensor, nn

    from lsd_experiments.families.cellmap.configuration import Settings

STOPPED, RECORD = "stopped", "record"  # in place of an epoch
TO_GO_ON = ("optimizer", "scheduler")


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds. ``done``: of the epoch after ``epoch``, iterations that were done."""

    path: Path
    state: "Mapping[str, Tensor]"
    epoch: int = 0
    iteration: int = 0
    done: int = 0
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def goes_on(self) -> bool:
        """Whether a training can go on from it."""
        return "optimizer" in self.more


@dataclass
class Record:
    """``validation``: of each epoch; ``best``: which epoch, as told by the mean over the last few; ``latest``: the newest."""

    latest: int = 0
    best: int | None = None
    validation: dict[int, float] = field(default_factory=dict)
    smoothed: dict[int, float] = field(default_factory=dict)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Record":
        """That which :meth:`described` is of."""
        tables = [{int(epoch): float(value) for epoch, value in values[key].items()} for key in ("validation", "smoothed")]
        best = values["best"]
        return cls(int(values["latest"]), None if best is None else int(best), *tables)

    def described(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"latest": self.latest, "best": self.best, **{key: {str(epoch): value for epoch, value in table.items()} for
                key, table in (("validation", self.validation), ("smoothed", self.smoothed))}}

    def add(self, epoch: int, value: float | None, window: int, low_is_best: bool) -> bool:
        """Note an epoch; whether it is the best. Epochs after it, of a training that began again earlier, are forgotten.

        A validation that is no number is not noted: nothing would be better.
        """
        for table in (self.validation, self.smoothed):
            for later in [one for one in table if one >= epoch]:
                del table[later]
        if self.best not in self.smoothed:
            best = min if low_is_best else max
            self.best = best(self.smoothed, key=lambda one: self.smoothed[one], default=None)
        self.latest = epoch
        if value is None or not math.isfinite(value):
            return False
        self.validation[epoch] = value
        last = [self.validation[one] for one in sorted(self.validation)[-window:]]
        self.smoothed[epoch] = mean = sum(last) / len(last)
        before = None if self.best is None else self.smoothed[self.best]
        if before is None or math.isnan(before) or (mean < before if low_is_best else mean > before):
            self.best = epoch
        return self.best == epoch


def record_path(settings: "Settings", name: str | None = None) -> Path:
    """Where the record of a model (default: the one that is trained) is."""
    return settings.checkpoint_path(RECORD, name).with_suffix(".json")


def read_record(settings: "Settings", name: str | None = None) -> Record:
    """The record; where there is none, as of published checkpoints, the newest is the epoch with the highest number.

    :raises UserError: if it is damaged
    """
    path = record_path(settings, name)
    if not path.is_file():
        return Record(latest=max(epochs(settings, name), default=0))
    try:
        return Record.of(json.loads(path.read_text()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: is no record of checkpoints ({error}). Remove it: the newest one is then taken") from error


def write_record(settings: "Settings", record: Record) -> None:
    """Replace the record, whole or not at all."""
    put_json(record_path(settings), record.described())


def epochs(settings: "Settings", name: str | None = None) -> list[int]:
    """Of which epochs there are checkpoints."""
    mark = "\0"
    pattern = settings.checkpoint_path(mark, name)
    names = re.compile(re.escape(pattern.name).replace(re.escape(mark), r"(\d+)", 1).replace(re.escape(mark), r"\d+"))
    directory = pattern.parent
    if mark in str(directory) or not directory.is_dir():
        return []
    return sorted(int(match[1]) for path in directory.iterdir() if (match := names.fullmatch(path.name)))


def find(settings: "Settings", which: str | int, name: str | None = None) -> Path:
    """The checkpoint ``latest``, ``best`` or of an epoch.

    :raises UserError: if there is none
    """
    record = read_record(settings, name)
    epoch = {"latest": record.latest, "best": record.best}.get(str(which), which)
    if not epoch:
        if which == "best" and record.latest:
            raise UserError(f"{record_path(settings, name)}: no best checkpoint is recorded: nothing was validated. Take latest")
        raise UserError(f"{settings.checkpoint_path('<epoch>', name)}: there is no checkpoint. Train one with csc train")
    path = settings.checkpoint_path(int(epoch), name)
    if not path.is_file():
        there = ", ".join(map(str, epochs(settings, name))) or "none"
        raise UserError(f"{path}: no such checkpoint (epochs that are there: {there}). Name another one")
    return path


def read(path: Path) -> Checkpoint:
    """What is in a file, ours or a bare state_dict.

    :raises UserError: if it is damaged, or holds more than tensors and plain values
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file. Name a checkpoint")
    found = read_values(path)
    state = state_in(found, path)
    if not (isinstance(found, Mapping) and "state_dict" in found and "epoch" in found):
        return Checkpoint(path, state, _number_in(path))
    numbers: list[Any] = [found.get(key, 0) for key in ("epoch", "iteration", "done")]
    if not all(isinstance(number, int) and number >= 0 for number in numbers):
        raise UserError(f"{path}: its epoch and iteration are {numbers}, no numbers. Name another checkpoint")
    more = {key: value for key, value in found.items() if key not in ("state_dict", "epoch", "iteration", "done")}
    epoch, iteration, done = numbers
    return Checkpoint(path, state, epoch, iteration, done, more)


def write(path: Path, network: "nn.Module", epoch: int, iteration: int, done: int = 0, **more: Any) -> None:
    """Write a checkpoint, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_values(path, {"state_dict": network.state_dict(), "epoch": epoch, "iteration": iteration, "done": done, **more})


def thin(path: Path) -> None:
    """Take from a checkpoint what nobody goes on from: two thirds of it, with most optimizers."""
    if path.is_file() and any(key in (found := read_values(path)) for key in TO_GO_ON):
        write_values(path, {key: value for key, value in found.items() if key not in TO_GO_ON})


def export(checkpoint: Checkpoint, path: Path) -> None:
    """Write the weights alone, as the published toolbox does and reads."""
    write_values(path, dict(checkpoint.state))


def load(network: "nn.Module", checkpoint: Checkpoint, allow_partial: bool = False) -> None:
    """Give a network the weights of a checkpoint.

    :param allow_partial: take the tensors that fit, and log a line for each that does not
    :raises UserError: if they are not those of the network, unless ``allow_partial``; or if none of them is
    """
    load_fitting(network, checkpoint.state, checkpoint.path, allow_partial, "model",
                 "Pass --allow-partial for those that fit, or correct model", "Correct model, or name another one")


def described(settings: "Settings") -> dict[str, Any]:
    """Settings as JSON has them; of modules and functions what they say of themselves."""
    found: dict[str, Any] = json.loads(json.dumps(
        {name: value for name, value in vars(settings).items() if name != "given"}, default=_short))
    return found


def _short(value: Any) -> Any:
    if isinstance(value, set | frozenset):
        return sorted(map(str, value))
    text = repr(value) if isinstance(value, str | Path) or not hasattr(value, "state_dict") else type(value).__name__
    return re.sub(r" at 0x[0-9a-f]+", "", text)


def _number_in(path: Path) -> int:
    match = re.search(r"(\d+)$", path.stem)
    return int(match[1]) if match else 0
