"""What is known of a network's training: its checkpoint's record, and the curves and costs beside it.

Beside a checkpoint lie TensorBoard's files (``log``, the loss of each iteration), ``validation.csv`` and, where whoever ran the
training wrote it, ``cost.json``: ``{"train": {"cpu_seconds": 123.4, "iterations": 600, "peak_gib": 1.2}}``.
"""

import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from lsd_experiments import checkpoints
from lsd_experiments.checkpoints import Checkpoint
from lsd_experiments.errors import UserError
from lsd_experiments.prediction.autocontext import LSDS, find_lsd_network
from lsd_experiments.training.curve import ITERATION, read_curve

COST = "cost.json"
QUEUE = "queue.json"  # of a queue of trainings, in the directory of its outputs: CPU seconds by job
LENGTH = struct.Struct("<QI")  # of a record, and its checksum
CHECKSUM = 4  # bytes, behind a record
PAUSE = 600.0  # seconds between two iterations that are taken for a stop of the training

Curve = list[tuple[int, float]]


@dataclass(frozen=True)
class Training:
    """The training in ``directory`` until ``checkpoint``.

    :param first: the frozen network before it, in auto-context
    :param lacks: what there is not, in words
    """

    directory: Path
    checkpoint: Checkpoint | None
    first: Any = None
    lacks: list[str] = field(default_factory=list)

    @property
    def record(self) -> Mapping[str, Any]:
        """What the checkpoint says of its training."""
        return self.checkpoint.record if self.checkpoint else {}

    @property
    def seed(self) -> int | None:
        """Of weights and batches."""
        found = self.record.get("seed")
        return None if found is None else int(found)

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The options of train.py."""
        found: Mapping[str, Any] = self.record.get("provenance", {}).get("parameters", {})
        return found

    @cached_property
    def curves(self) -> dict[str, Curve]:
        """By name, iterations and values until the checkpoint's: ``loss``, ``validation loss``, ``validation voi_sum``."""
        last = self.checkpoint.iteration if self.checkpoint else None
        curves: dict[str, Curve] = {"loss": [(step, value) for step, _, value in self._logged]}
        for row in read_curve(self.directory):
            for name in ("loss", "voi_sum"):
                if name in row:
                    curves.setdefault(f"validation {name}", []).append((int(row[ITERATION]), row[name]))
        kept = {name: [point for point in curve if last is None or point[0] <= last] for name, curve in curves.items()}
        return {name: curve for name, curve in kept.items() if curve}

    @property
    def seconds_per_iteration(self) -> float | None:
        """By the clock, the median."""
        times = [time for _, time, _ in self._logged]
        steps = [step for step, _, _ in self._logged]
        gaps = [b - a for a, b, m, n in zip(times, times[1:], steps, steps[1:], strict=False) if n == m + 1 and 0 < b - a < PAUSE]
        return float(np.median(gaps)) if gaps else None

    @cached_property
    def cost(self) -> Mapping[str, Any]:
        """What ``cost.json``, or the queue that ran it, says of the training; nothing, if there is neither."""
        try:
            found = json.loads((self.directory / COST).read_text())["train"]
        except FileNotFoundError:
            return _queued(self.directory.resolve(), self.checkpoint.iteration if self.checkpoint else 0)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{self.directory / COST}: holds no costs ({type(error).__name__}: {error}). Correct it, or move it away"
            ) from error
        return found if isinstance(found, Mapping) else {}

    @cached_property
    def _logged(self) -> list[tuple[int, float, float]]:
        """Iteration, time and loss; of an iteration that was done twice, the later one."""
        where = self.parameters.get("log_dir")
        return read_losses(self.directory / where if where else self.directory / "log")


def read_training(setup: Path, iteration: int | None) -> Training:
    """The training in ``setup`` until ``iteration``; what cannot be read of it is in ``lacks``."""
    if not setup.is_dir():
        return Training(setup, None, None, [f"{setup}: the network's directory is not there"])
    try:
        checkpoint = checkpoints.require_checkpoint(setup, iteration)
    except UserError as error:
        return Training(setup, None, None, [str(error)])
    record = checkpoint.record.get(LSDS)
    if not record:
        return Training(setup, checkpoint)
    try:
        return Training(setup, checkpoint, find_lsd_network(setup, None, None, record))
    except UserError as error:
        return Training(setup, checkpoint, None, [str(error)])


def _queued(directory: Path, iteration: int) -> dict[str, float]:
    """CPU seconds of the training in ``directory`` until ``iteration``, if a queue above it recorded all of it.

    Its jobs are called ``<directory>/<n>``, by the iteration that they train to.
    """
    for above in directory.parents:
        try:
            jobs = json.loads((above / QUEUE).read_text())
        except (OSError, ValueError):
            continue
        prefix = f"{directory.relative_to(above).as_posix()}/"
        steps = {name.removeprefix(prefix): job for name, job in jobs.items() if name.startswith(prefix)}
        seconds = {int(name): float(job["seconds"]) for name, job in steps.items() if name.isdecimal()}
        if iteration not in seconds:
            return {}
        return {"cpu_seconds": sum(value for until, value in seconds.items() if until <= iteration)}
    return {}


def read_losses(directory: Path) -> list[tuple[int, float, float]]:
    """Iteration, time and loss of each training step that TensorBoard's files in ``directory`` tell of, ascending; none if
    there are none.
    """
    files = sorted(directory.glob("events.out.tfevents.*")) if directory.is_dir() else []
    found: dict[int, tuple[float, float]] = {}
    for file in files:
        for step, time, value in _events(file):
            if step not in found or found[step][0] < time:
                found[step] = (time, value)
    return [(step, *found[step]) for step in sorted(found)]


def _events(file: Path) -> Iterator[tuple[int, float, float]]:
    from tensorboard.compat.proto.event_pb2 import Event

    for record in _records(file.read_bytes()):
        event = Event.FromString(record)
        yield from (
            (event.step, event.wall_time, float(value.simple_value)) for value in event.summary.value if value.tag == "loss"
        )


def _records(data: bytes) -> Iterator[bytes]:
    """What is whole in a file of TFRecords: the last one may not be, where a process was killed, or is at work."""
    at = 0
    while at + LENGTH.size <= len(data):
        length, _ = LENGTH.unpack_from(data, at)
        begin = at + LENGTH.size
        at = begin + length + CHECKSUM
        if at <= len(data):
            yield data[begin : begin + length]
