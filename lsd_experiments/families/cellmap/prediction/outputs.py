"""How outputs are stored: logits as they are, or probabilities; as float32, float16 or, of probabilities, 0 to 255."""

import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.errors import UserError
from lsd_experiments.stages import Stage

LOGITS, PROBABILITIES = "logits", "probabilities"
VALUES, DTYPES = (LOGITS, PROBABILITIES), ("float16", "float32", "uint8")
ATTRIBUTE = "values"  # of an array: what its values are
LARGEST = 65504.0  # of float16


def check_kind(values: str, dtype: str) -> None:
    """:raises UserError: if logits should be uint8"""
    if values == LOGITS and dtype == "uint8":
        raise UserError("--dtype: uint8 is for probabilities, 0 to 255. Pass --values probabilities, or --dtype float16")


def stored(logits: NDArray[np.float32], values: str, dtype: str) -> NDArray[Any]:
    """Logits of any shape as they are stored."""
    if values == LOGITS:
        return np.clip(logits, -LARGEST, LARGEST).astype(dtype) if dtype == "float16" else logits
    likely = 0.5 * (1 + np.tanh(0.5 * logits))  # the sigmoid, which does not overflow
    found: NDArray[Any] = np.rint(likely * 255).astype(np.uint8) if dtype == "uint8" else likely.astype(dtype)
    return found


def estimate(stages: Sequence[Stage]) -> int:
    """Bytes of all arrays, before compression."""
    return sum(stage.bytes for stage in stages)


def check_room(size: int, directory: Path, force: bool) -> str:
    """What is said before anything is written.

    :raises UserError: if there is less room than ``size`` bytes, and not ``force``
    """
    existing = next(path for path in (directory, *directory.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if size > free and not force:
        raise UserError(f"{directory}: {shown(size)} would be written, less what compression saves, and there is room for "
                        f"{shown(free)}. Pass --values probabilities --dtype uint8, fewer crops, or --force")
    return f"{shown(size)} before compression, of {shown(free)} that are free"


def shown(size: int) -> str:
    """``size`` bytes in words."""
    units = ("bytes", "KiB", "MiB", "GiB", "TiB")
    step = min(len(units) - 1, int(math.log(size, 1024)) if size else 0)
    return f"{size / 1024**step:.3g} {units[step]}"
