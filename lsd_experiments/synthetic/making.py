"""Containers of synthetic volumes: there as a whole or not at all, and left as they are where they were made before."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lsd_experiments.errors import UserError

STAGE = "make_synthetic"
RAW = ("volumes/raw", "volumes/training_raw")  # where the provenance of a container stands, whatever its kind


def made_before(path: Path, parameters: dict[str, Any]) -> bool:
    """Whether the zarr container ``path`` is there, made with ``parameters``.

    :raises UserError: if it is no name of a container, or holds something else
    """
    if path.suffix != ".zarr":
        raise UserError(f"{path}: synthetic volumes are zarr containers. Name one that ends in .zarr")
    if not path.exists():
        return False
    found = next(filter(None, (_parameters(path / raw / ".zattrs") for raw in RAW)), None)
    if found is None:
        raise UserError(f"{path}: exists and is not a synthetic volume. Name another container")
    if found != parameters:
        different = ", ".join(f"{key} {found.get(key)}" for key, value in parameters.items() if found.get(key) != value)
        raise UserError(f"{path}: exists and was made with other parameters ({different}). Remove it, or name another "
                        "container")
    return True


def _parameters(attributes: Path) -> dict[str, Any] | None:
    try:
        made = json.loads(attributes.read_text())["provenance"]
        return dict(made["parameters"]) if made["stage"] == STAGE else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """A directory to write to, which has the name ``path`` if all goes well, and is removed if not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.stem}.partial-{os.getpid()}{path.suffix}")
    try:
        partial.mkdir()  # so that a place that cannot be written is noticed before the work
        yield partial
        partial.rename(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
