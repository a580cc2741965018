"""What the server and the worker processes are told: plain JSON, and nothing in it is code."""

import dataclasses
import importlib
import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lsd_experiments.blockwise.blocks import Block
from lsd_experiments.geometry import Box, Voxels

PACKAGE = "lsd_experiments"
BlockFunction = Callable[[Block], None]


@dataclass(frozen=True)
class TaskSpec:
    """A :class:`~lsd_experiments.blockwise.BlockTask` as JSON values, without its environment, which may hold a password.

    :param begin: where its total box begins
    :param end: where that ends
    :param num_workers: at a time, counted
    :param cpus: of one worker
    :param gpu_slots: values of ``CUDA_VISIBLE_DEVICES`` for local workers; none if they take what they find
    :param workers: :class:`~lsd_experiments.blockwise.Workers`
    """

    name: str
    factory: str
    settings: dict[str, Any]
    records: str
    begin: Voxels
    end: Voxels
    write_shape: Voxels
    context: Voxels
    read_write_conflict: bool
    num_workers: int
    threads: int
    cpus: int
    gpu_slots: list[str]
    workers: dict[str, Any]

    @property
    def total(self) -> Box:
        """The voxels to write."""
        return Box(self.begin, self.end)

    def to_json(self) -> str:
        """As text, for :meth:`from_json`."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "TaskSpec":
        """From the text of :meth:`to_json`."""
        values = json.loads(text)
        return cls(**{**values, **{key: tuple(values[key]) for key in ("begin", "end", "write_shape", "context")}})


def check_factory(name: str) -> None:
    """Refuse a worker factory that is not ``lsd_experiments.<module>:<function>``."""
    module, _, function = name.partition(":")
    inside = module == PACKAGE or module.startswith(f"{PACKAGE}.")
    if not (inside and function.isidentifier()):
        raise ValueError(f"worker factory '{name}' is not lsd_experiments.<module>:<function>")


def load_factory(name: str) -> Callable[[dict[str, Any]], BlockFunction]:
    """The function that ``name`` (``lsd_experiments.<module>:<function>``) stands for."""
    check_factory(name)
    module, _, function = name.partition(":")
    factory: Callable[[dict[str, Any]], BlockFunction] = getattr(importlib.import_module(module), function)
    return factory


def describe(number: int, write: Box) -> str:
    """What messages call a block."""
    return f"block {number}, voxels {write.begin} to {write.end}"


def end_with_parent(last: Callable[[], object] | None = None, parent: int | None = None) -> None:
    """End this process as soon as its parent is gone, even in the middle of a block; ``last`` is called before.

    :param parent: its process id, told by itself: it may be gone already (default: which it is now)
    """
    parent = parent or os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.1)
        try:
            if last is not None:
                last()
        finally:
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
