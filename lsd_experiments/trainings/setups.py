"""The directory in which a job trains: a copy of an experiment, with another network's shape, for data of another kind."""

import dataclasses
import json
import runpy
import shutil
import tomllib
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from lsd_experiments import networks
from lsd_experiments.errors import UserError, nearest
from lsd_experiments.installation import ROOT
from lsd_experiments.scenario import copy_experiment, run_script
from lsd_experiments.toml_text import as_toml
from lsd_experiments.writing import put_json, put_text

MADE = "setup.json"  # of what a directory was made
FILES = ("train_net", "config")


def make_setup(directory: Path, setup: dict[str, Any]) -> None:
    """Make ``directory`` as :class:`~lsd_experiments.trainings.reading.SetupSettings` says; one that was made so is left.

    :raises UserError: if it is there and was made otherwise, or there is no such experiment, field or shape
    """
    made = directory / MADE
    if directory.exists():
        if not made.is_file() or json.loads(made.read_text()) != setup:
            raise UserError(f"{directory}: is there, and was not made with this [job.setup]. Remove it, or name another one")
        return
    source = ROOT / "02_train" / setup["like"]
    if not (source / "mknet.py").is_file():
        raise UserError(f"like = {setup['like']!r}: no such experiment in 02_train. Name one, like zebrafinch/mtlsd")
    part = directory.with_name(f".{directory.name}.partial")
    shutil.rmtree(part, ignore_errors=True)  # of one that was killed
    copy_experiment(source, part)
    for name, (network, shape) in _networks(part, setup).items():
        with redirect_stdout(StringIO()):
            networks.write(network, name, shape, part)
    values = tomllib.loads((part.parent / "dataset.toml").read_text()) | setup["dataset"]
    put_text(part.parent / "dataset.toml", "".join(f"{key} = {as_toml(value)}\n" for key, value in values.items()))
    put_json(part / MADE, setup)
    part.rename(directory)


def _networks(directory: Path, setup: dict[str, Any]) -> dict[str, tuple[networks.Network, list[int]]]:
    """The network and the input shape of each of :data:`FILES`."""
    declared = runpy.run_path(str(directory / "mknet.py"))["NETWORK"]
    known = {field.name for field in dataclasses.fields(declared)}
    for key in setup["network"]:
        if key not in known:
            raise UserError(f"[job.setup] network: networks have no {key!r}{nearest(key, known)}")
    changed = {key: _tuples(value) for key, value in setup["network"].items()}
    network = dataclasses.replace(declared, **changed)
    made = run_script(directory, "mknet.py", capture_output=True)
    assert made.returncode == 0, made.stderr
    return {name: (network, setup[name] or list(networks.read(directory / f"{name}.json").input_shape)) for name in FILES}


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
