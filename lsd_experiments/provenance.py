"""Where an output came from, to be stored next to it."""

import datetime
import importlib.metadata
import platform
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import lsd_experiments

# What results may depend on; those that are installed are named.
PACKAGES = ("daisy", "gunpowder", "jax", "keras", "numpy", "scipy", "tensorflow", "tensorflow-cpu", "torch", "waterz", "zarr")


def provenance(stage: str, parameters: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """What made an output: stage, its parameters and inputs, versions, commit and date, as JSON values."""
    return {
        "software": "lsd-experiments",
        "version": lsd_experiments.__version__,
        "commit": commit(),
        "versions": versions(),
        "stage": stage,
        "parameters": dict(parameters),
        "inputs": dict(inputs),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds"),
    }


@cache
def versions() -> dict[str, str]:
    """The versions of Python and of the packages that results may depend on."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@cache
def commit() -> str | None:
    """The commit of the checkout that this package runs from, with ``+`` if files differ from it; None outside of one."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    try:
        described = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty=+", "--abbrev=12"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip()
