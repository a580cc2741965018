"""The checkpoints of a setup directory: ours and TensorFlow 1's, side by side."""

import logging
import re
from pathlib import Path

from lsd_experiments.checkpoints.checkpoint import BEST_SUFFIX, INDEX, POINTER, SUFFIX, Checkpoint
from lsd_experiments.checkpoints.loading import read_checkpoint
from lsd_experiments.checkpoints.own import best_checkpoints, paths_by_iteration
from lsd_experiments.cli import BEST
from lsd_experiments.errors import UserError

logger = logging.getLogger(__name__)


def find_checkpoint(directory: str | Path, iteration: int | str | None = None) -> Checkpoint | None:
    """The checkpoint of ``iteration``, or the ``"best"``, of a setup directory (default: the newest); None if there is none.

    The newest is that which exists, whatever the file ``checkpoint`` names; if what that names is not there, a line is logged.

    :raises UserError: if it is damaged; or if ``checkpoint`` names one, and there is none at all.
    """
    directory = Path(directory)
    found = _paths(directory)
    if iteration == BEST:
        best = find_best(directory)
        return best and read_checkpoint(found[best.iteration])  # of two files of one iteration the same as by its number
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
    return read_checkpoint(found[int(iteration)]) if iteration in found else None


def find_best(directory: str | Path) -> Checkpoint | None:
    """The checkpoint that is kept as the best of a setup directory, with the validation that says so; None if there is none.

    :raises UserError: if it is damaged
    """
    kept = best_checkpoints(Path(directory))
    return read_checkpoint(kept[max(kept)]) if kept else None  # the later of two was better


def find_named(source: str | Path, iteration: int | str | None = None) -> Checkpoint:
    """The checkpoint ``source``, or of a setup directory that of ``iteration``, or ``"best"`` (default: the newest).

    :param source: see :func:`resolve`
    :raises UserError: if there is none, or ``source`` is itself a checkpoint and another iteration is named
    """
    source = Path(source)
    if source.is_dir():
        return require_checkpoint(source, iteration)
    checkpoint = read_checkpoint(resolve(source))
    if iteration not in (None, checkpoint.iteration):
        raise UserError(
            f"{source}: is the checkpoint of iteration {checkpoint.iteration}, not {iteration}. Name its directory, or leave "
            "--checkpoint out"
        )
    return checkpoint


def require_checkpoint(directory: str | Path, iteration: int | str | None = None) -> Checkpoint:
    """As :func:`find_checkpoint`, but a missing checkpoint is a :class:`UserError` that names those that exist."""
    found = find_checkpoint(directory, iteration)
    if found is None:
        there = ", ".join(map(str, sorted(_paths(Path(directory))))) or "none"
        if iteration == BEST:
            raise UserError(f"{directory}: no best checkpoint (found: {there}). Train with --validate-every, which keeps one, or "
                            "name an iteration")
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
    """The checkpoints by iteration; of two of one iteration, ours, which says more, and that of ``--save-every``."""
    endings = (INDEX, BEST_SUFFIX, SUFFIX)
    return {number: path for ending in endings for number, path in paths_by_iteration(directory, ending).items()}


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
