"""Checkpoints: Keras weights with optimizer state, and a record of what was trained and how.

In a setup directory ``train_net_checkpoint_<n>.weights.h5`` holds the state after iteration n, and the text file
``checkpoint`` names the newest, in the form that TensorFlow 1 wrote. A checkpoint is written beside and then renamed, so
that a kill at any moment leaves the older one. ``model.load_weights`` of Keras reads the same files on any backend.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsd_experiments.errors import UserError
from lsd_experiments.networks.files import from_json, to_json
from lsd_experiments.networks.network import Network

if TYPE_CHECKING:
    import keras

PREFIX = "train_net_checkpoint_"  # of the published files
SUFFIX = ".weights.h5"  # what Keras asks of a file of weights
POINTER = "checkpoint"  # the file that names the newest
RECORD = "lsd_experiments"  # the attribute that holds the record


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on disk: where it is, what was trained, and until which iteration."""

    path: Path
    iteration: int
    network: Network
    record: Mapping[str, Any]  # seed, options and provenance of the training


def checkpoint_path(directory: str | Path, iteration: int) -> Path:
    """Where the checkpoint of ``iteration`` lies in a setup directory."""
    return Path(directory) / f"{PREFIX}{iteration}{SUFFIX}"


def find_checkpoint(directory: str | Path, iteration: int | None = None) -> Checkpoint | None:
    """The checkpoint of ``iteration`` in a setup directory (default: the newest), or None if there is none."""
    iterations = _iterations(Path(directory))
    if iteration is None:
        iteration = max(iterations, default=None)
    return read_checkpoint(checkpoint_path(directory, iteration)) if iteration in iterations else None


def require_checkpoint(directory: str | Path, iteration: int | None = None) -> Checkpoint:
    """As :func:`find_checkpoint`, but a missing checkpoint is a :class:`UserError` that names those that exist."""
    found = find_checkpoint(directory, iteration)
    if found is None:
        there = ", ".join(map(str, sorted(_iterations(Path(directory))))) or "none"
        wanted = "no checkpoint" if iteration is None else f"no checkpoint of iteration {iteration}"
        raise UserError(f"{directory}: {wanted} (found: {there}). Train with train.py first, or name one that exists")
    return found


def read_checkpoint(path: str | Path) -> Checkpoint:
    """What ``path`` says of itself, without its weights.

    :raises UserError: if it is missing, or not a checkpoint of ours.
    """
    import h5py

    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such checkpoint")
    try:
        with h5py.File(path, "r") as file:
            record = json.loads(file.attrs[RECORD])
        return Checkpoint(path, int(record["iteration"]), from_json(record["network"]), record)
    except (OSError, KeyError, ValueError, TypeError, UserError) as error:
        raise UserError(
            f"{path}: is not a checkpoint written by train.py, or damaged ({error}). Remove it to go on from an older one"
        ) from error


def save_checkpoint(
    model: "keras.Model", directory: str | Path, network: Network, iteration: int, record: Mapping[str, Any]
) -> Path:
    """Write ``model``, its optimizer's state and ``record`` as the newest checkpoint of ``directory``; return its path."""
    import h5py

    path = checkpoint_path(directory, iteration)
    _remove_unfinished(path.parent)
    beside = path.with_name(f".{path.name.removesuffix(SUFFIX)}.{os.getpid()}{SUFFIX}")
    try:
        model.save_weights(beside)
        with h5py.File(beside, "r+") as file:
            file.attrs[RECORD] = json.dumps({**record, "iteration": iteration, "network": to_json(network)})
        _sync(beside)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    pointer = path.with_name(f".{POINTER}.{os.getpid()}")
    pointer.write_text(f'model_checkpoint_path: "{PREFIX}{iteration}"\n')
    pointer.replace(path.with_name(POINTER))
    return path


def load_checkpoint(model: "keras.Model", path: str | Path) -> Checkpoint:
    """Load the weights in ``path`` into ``model``, and the optimizer's state if the model is compiled.

    :raises UserError: if a layer of the model is not in the checkpoint, or of another shape; it is named.
    """
    checkpoint = read_checkpoint(path)
    _check_layers(model, checkpoint.path)
    model.load_weights(checkpoint.path)
    return checkpoint


def require_same_network(network: Network, checkpoint: Checkpoint) -> None:
    """Raise a :class:`UserError` that names the first difference between ``network`` and the checkpoint's."""
    asked, found = to_json(network), to_json(checkpoint.network)
    for key, value in asked.items():
        if found[key] != value:
            raise UserError(
                f"{checkpoint.path}: holds another architecture: {key} is {found[key]}, not {value}. Give the "
                "options it was trained with, or train in another directory"
            )


def _iterations(directory: Path) -> list[int]:
    pattern = re.compile(re.escape(PREFIX) + r"(\d+)" + re.escape(SUFFIX))
    names = [path.name for path in directory.iterdir()] if directory.is_dir() else []
    return [int(match[1]) for name in names if (match := pattern.fullmatch(name))]


def _check_layers(model: "keras.Model", path: Path) -> None:
    found = _layer_shapes(path)
    for layer in model.layers:
        if not layer.weights:
            continue
        shapes = [tuple(weight.shape) for weight in layer.weights]
        if found.get(layer.name) != shapes:
            raise UserError(
                f"{path}: holds another architecture: layer {layer.name} is {found.get(layer.name, 'missing')}, "
                f"the network's is {shapes}"
            )


def _layer_shapes(path: Path) -> dict[str, list[tuple[int, ...]]]:
    """The shapes of each layer's weights, by the layer's name."""
    import h5py

    with h5py.File(path, "r") as file:
        layers = [group["vars"] for group in file["layers"].values()]
        return {group.attrs["name"]: [group[key].shape for key in sorted(group, key=int)] for group in layers}


def _remove_unfinished(directory: Path) -> None:
    """Remove what processes that were killed while they saved have left: a checkpoint is large."""
    pattern = re.compile(re.escape(f".{PREFIX}") + r"\d+\.(\d+)" + re.escape(SUFFIX))
    for path in directory.iterdir():
        match = pattern.fullmatch(path.name)
        if match and not _is_running(int(match[1])):
            path.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return process != os.getpid()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
