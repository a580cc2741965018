"""A stage that does nothing with its blocks: what is left is the cost of handing them out, which benchmarks measure."""

from collections.abc import Callable
from typing import Any

from lsd_experiments.blockwise.blocks import Block

FACTORY = f"{__name__}:make_worker"


def make_worker(settings: dict[str, Any]) -> Callable[[Block], None]:
    """A block function that returns at once."""
    return lambda block: None
