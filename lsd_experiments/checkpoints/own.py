"""Our checkpoints: Keras weights with optimizer state, and a record of what was trained and how.

A checkpoint is written beside and then renamed, so that a kill at any moment leaves the older one; a checksum ends it.
``model.load_weights`` of Keras reads the same files on any backend.
"""

import json
import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsd_experiments.checkpoints.average import Weights, named_weights, read_average, write_average
from lsd_experiments.checkpoints.checkpoint import BEST_SUFFIX, POINTER, PREFIX, SUFFIX, Checkpoint, checkpoint_path
from lsd_experiments.checkpoints.comparing import check_weights
from lsd_experiments.checkpoints.seal import check_seal, seal
from lsd_experiments.errors import UserError
from lsd_experiments.networks.files import from_json, to_json
from lsd_experiments.networks.network import Network
from lsd_experiments.writing import put_text, sync, sync_directory

if TYPE_CHECKING:
    import keras

logger = logging.getLogger(__name__)

RECORD = "lsd_experiments"  # the attribute that holds the record
SHOWN = 200  # characters of a reason
DAMAGE = (OSError, LookupError, ValueError, TypeError, AttributeError, ArithmeticError, RuntimeError)  # what reading it ends in


def read_own(path: Path) -> Checkpoint:
    """See :func:`~lsd_experiments.checkpoints.read_checkpoint`."""
    import h5py

    try:
        check_seal(path)  # before HDF5 sees it
        with h5py.File(path, "r") as file:
            record = json.loads(file.attrs[RECORD])
        return Checkpoint(path, int(record["iteration"]), from_json(record["network"]), record)
    except (*DAMAGE, UserError) as error:
        raise _damaged(path, error) from error


def load_own(model: "keras.Model", path: Path, averaged: bool = False) -> None:
    """See :func:`~lsd_experiments.checkpoints.load_checkpoint`; :func:`read_own` has checked the file."""
    try:
        shapes = _weight_shapes(path)
    except DAMAGE as error:
        raise _damaged(path, error) from error
    check_weights(model, shapes, str(path))
    try:
        model.load_weights(path)
        if averaged:
            averages = read_average(path)
            for name, variable in named_weights(model).items():
                variable.assign(averages[name])
    except DAMAGE as error:  # the shapes are right
        raise _damaged(path, error) from error


def optimizer_steps(path: Path) -> int | None:
    """How many steps the optimizer took whose state a checkpoint of ours holds, which :func:`read_own` has checked; or None."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            state = file.get("optimizer/vars")
            return int(state["0"][()]) if state else None
    except DAMAGE as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> UserError:
    reason = " ".join(str(error).split())[:SHOWN] or type(error).__name__
    return UserError(
        f"{path}: is not a checkpoint written by train.py, or damaged ({reason}). Remove it to go on from an older one"
    )


def save_checkpoint(
    model: "keras.Model",
    directory: str | Path,
    network: Network,
    iteration: int,
    record: Mapping[str, Any],
    best: bool = False,
    averages: Weights | None = None,
) -> Path:
    """Write ``model``, its optimizer's state and ``record`` as the newest checkpoint of ``directory``; return its path.

    :param best: as the best one instead, in the place of the one that was best before
    :param averages: of the weights, of which the record then says what they are; see :mod:`.average`
    """
    import h5py

    path = checkpoint_path(directory, iteration, best)
    logger.info("%s: begins", path)
    _remove_unfinished(path.parent)
    beside = path.with_name(f".{path.name.removesuffix(SUFFIX)}.{os.getpid()}{SUFFIX}")
    try:
        model.save_weights(beside)
        with h5py.File(beside, "r+") as file:
            write_average(file, averages or {})
            file.attrs[RECORD] = json.dumps({**record, "iteration": iteration, "network": to_json(network)})
        seal(beside)
        sync(beside)
        beside.replace(path)
        sync_directory(path.parent)
    finally:
        beside.unlink(missing_ok=True)
    if best:
        for other in best_checkpoints(path.parent).values():
            if other != path:  # after the new one is there
                other.unlink(missing_ok=True)
    else:
        put_text(path.with_name(POINTER), f'model_checkpoint_path: "{PREFIX}{iteration}"\n')
    logger.info("%s is written, %d bytes", path, path.stat().st_size)
    return path


def best_checkpoints(directory: Path) -> dict[int, Path]:
    """The files that are kept as the best, by iteration: one, or two after a kill between the new one and the end of the old."""
    return paths_by_iteration(directory, BEST_SUFFIX)


def paths_by_iteration(directory: Path, ending: str) -> dict[int, Path]:
    """The files of ``directory`` that are named as checkpoints whose names end in ``ending``."""
    pattern = re.compile(re.escape(PREFIX) + r"(\d+)" + re.escape(ending))
    names = [path.name for path in directory.iterdir()] if directory.is_dir() else []
    return {int(match[1]): directory / name for name in names if (match := pattern.fullmatch(name))}


def _weight_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shapes of all weights, by ``<layer>/kernel`` and ``<layer>/bias``, which is the order in which Keras keeps them."""
    import h5py

    shapes = {}
    with h5py.File(path, "r") as file:
        for layer in file["layers"].values():
            weights = layer["vars"]
            for what, key in zip(("kernel", "bias"), sorted(weights, key=int), strict=False):
                shapes[f"{weights.attrs['name']}/{what}"] = weights[key].shape
    return shapes


def _remove_unfinished(directory: Path) -> None:
    """Remove what processes that were killed while they saved have left: a checkpoint is large."""
    pattern = re.compile(re.escape(f".{PREFIX}") + r"\d+(?:\.best)?\.(\d+)" + re.escape(SUFFIX))
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

