"""The checkpoints of a setup directory: ours and TensorFlow 1's, side by side."""

import logging
import re
from pathlib import Path

from lsd_experiments.checkpoints.checkpoint import INDEX, POINTER, PREFIX, SUFFIX, Checkpoint
from lsd_experiments.checkpoints.loading import read_checkpoint
from lsd_experiments.errors import UserError

logger = logging.getLogger(__name__)


def find_checkpoint(directory: str | Path, iteration: int | None = None) -> Checkpoint | None:
    """The checkpoint of ``iteration`` in a setup directory (default: the newest), or None if there is none.

    The newest is that which exists, whatever the file ``checkpoint`` names; if what that names is not there, a line is logged.

    :raises UserError: if it is damaged; or if ``checkpoint`` names one, and there is none at all.
    """
    directory = Path(directory)
    found = _paths(directory)
    if iteration is None:
        missing = _missing(directory)
        if missing and not found:
            raise UserError(
                f"{directory / POINTER}: names {missing}, but no checkpoint is there. Fetch its files, or remove this one to "
                "start anew"
            )
        iteration = max(found, default=None)
        if missing and iteration is not None:
            there = _name(found[iteration])
            logger.warning(
                "%s names %s, which is not there: %s, the newest that is, is taken", directory / POINTER, missing, there
            )
    return read_checkpoint(found[iteration]) if iteration in found else None


def require_checkpoint(directory: str | Path, iteration: int | None = None) -> Checkpoint:
    """As :func:`find_checkpoint`, but a missing checkpoint is a :class:`UserError` that names those that exist."""
    found = find_checkpoint(directory, iteration)
    if found is None:
        there = ", ".join(map(str, sorted(_paths(Path(directory))))) or "none"
        wanted = "no checkpoint" if iteration is None else f"no checkpoint of iteration {iteration}"
        raise UserError(f"{directory}: {wanted} (found: {there}). Train with train.py first, or name one that exists")
    return found


def resolve(path: str | Path) -> Path:
    """The file of the checkpoint that ``path`` stands for: that which :class:`Checkpoint` has as its ``path``.

    :param path: a setup directory (its newest), an ``.index`` or ``.weights.h5`` file, or what these names begin with.
    :raises UserError: if there is none.
    """
    path = Path(path)
    if path.is_dir():
        return require_checkpoint(path).path
    for name in (path.name, path.name + SUFFIX, path.name + INDEX, path.name.partition(".data-")[0] + INDEX):
        file = path.with_name(name)
        if file.is_file() and name.endswith((SUFFIX, INDEX)):
            return file
    if path.exists():
        raise UserError(f"{path}: is no checkpoint: their names end in {SUFFIX} or {INDEX}. Name one, or its directory")
    raise UserError(f"{path}: no such checkpoint. Name a directory, an {INDEX} or {SUFFIX} file, or what its name begins with")


def _paths(directory: Path) -> dict[int, Path]:
    """The checkpoints by iteration; of two of one iteration, ours, which says more."""
    names = [path.name for path in directory.iterdir()] if directory.is_dir() else []
    paths = {}
    for ending in (INDEX, SUFFIX):
        pattern = re.compile(re.escape(PREFIX) + r"(\d+)" + re.escape(ending))
        paths.update({int(match[1]): directory / name for name in names if (match := pattern.fullmatch(name))})
    return paths


def _missing(directory: Path) -> str | None:
    """The checkpoint that the file ``checkpoint`` names, if it does and that is not there."""
    try:
        text = (directory / POINTER).read_text(errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return None
    match = re.search(r'^model_checkpoint_path: "(?:[^"]*/)?([^"/]+)"', text, flags=re.MULTILINE)
    if not match or any((directory / (match[1] + ending)).exists() for ending in (INDEX, SUFFIX)):
        return None
    return match[1]


def _name(path: Path) -> str:
    return path.name.removesuffix(SUFFIX).removesuffix(INDEX)
