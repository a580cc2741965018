"""Where an output came from, to be stored next to it.

The ``key`` of a provenance is a digest of what the output depends on: stage, parameters, the inputs' fingerprints and the
version of this software. Equal keys mean equal outputs, wherever they lie and whenever they were made, so that the key of one
stage's output is its fingerprint as an input of the next.
"""

import datetime
import hashlib
import importlib.metadata
import json
import platform
import subprocess
from collections.abc import Mapping
from functools import cache
from typing import Any

import lsd_experiments
from lsd_experiments.installation import ROOT, image

# What results may depend on; those that are installed are named.
PACKAGES = ("daisy", "gunpowder", "jax", "keras", "numpy", "scipy", "tensorflow", "tensorflow-cpu", "torch", "waterz", "zarr")
AVERAGED = "averaged_weights"  # among the parameters of a prediction, and of its network: with averages; said of these alone


def provenance(stage: str, parameters: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """What made an output: stage, its parameters and inputs, versions, commit and date, as JSON values.

    :param inputs: by name, each a text that identifies it, or its ``name`` and its ``fingerprint``, which alone counts
    """
    return {
        "software": "lsd-experiments",
        "key": key(stage, parameters, inputs),
        "version": lsd_experiments.__version__,
        "commit": commit(),
        "versions": versions(),
        "stage": stage,
        "parameters": dict(parameters),
        "inputs": dict(inputs),
        "date": now(),
    }


def now() -> str:
    """The date and time, as provenance has it."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds")


def key(stage: str, parameters: Mapping[str, Any], inputs: Mapping[str, Any]) -> str:
    """The key of a provenance: 16 hexadecimal digits."""
    counting = [stage, lsd_experiments.__version__, parameters, {name: identity(value) for name, value in inputs.items()}]
    return hashlib.sha256(json.dumps(counting, sort_keys=True).encode()).hexdigest()[:16]


def provenance_in(attrs: Mapping[str, Any]) -> Mapping[str, Any]:
    """The provenance among a volume's attributes; empty if there is none, or it is something else by that name, of others."""
    made = attrs.get("provenance")
    return made if isinstance(made, Mapping) else {}


def fingerprint_of(made: Mapping[str, Any]) -> str:
    """What tells an output of this provenance from others, as an input of the next stage: its key, and which making it is."""
    return f"{made['key']}-{made['again']}" if "again" in made else str(made["key"])


def network_of(made: Any) -> dict[str, Any]:
    """``network``: name and iteration of the network that predicted what ``made`` is the provenance of, or its first input; and
    whether with averages of its weights.

    To be added to the provenance of what is made of it: a name for people, which no key depends on. Empty if nothing says so.
    """
    if not isinstance(made, Mapping):
        return {}
    if isinstance(made.get("network"), Mapping):
        return {"network": dict(made["network"])}
    found = made.get("parameters")
    if made.get("stage") != "predict" or not isinstance(found, Mapping) or not {"variant", "iteration"} <= found.keys():
        return {}
    averaged = {AVERAGED: True} if found.get(AVERAGED) else {}
    return {"network": {"name": found["variant"], "iteration": found["iteration"], **averaged}}


def identity(value: Any) -> Any:
    """What counts of an input in a provenance."""
    return value["fingerprint"] if isinstance(value, Mapping) and "fingerprint" in value else value


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
    """The commit of the checkout or image that this package runs from, with ``+`` if files differ from it; None elsewhere."""
    if not (ROOT / ".git").exists():
        here = image()
        return here.commit if here and here.commit != "unknown" else None
    try:
        described = subprocess.run(
            ["git", "-C", str(ROOT), "describe", "--always", "--dirty=+", "--abbrev=12"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip()
