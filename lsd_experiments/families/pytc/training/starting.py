"""Where a training begins: at the newest checkpoint of its directory, at one that was named, or at the start."""

import re
from pathlib import Path

from lsd_experiments.errors import UserError
from lsd_experiments.families.pytc.checkpoints import SUFFIX
from lsd_experiments.families.pytc.configuration import Config

UNFINISHED = re.compile(r"\.checkpoint_\w+" + re.escape(SUFFIX) + r"\.\d+")  # a process that was killed as it wrote leaves it
NUMBERED = re.compile(r"checkpoint_(\d+)" + re.escape(SUFFIX))


def newest(directory: Path) -> Path | None:
    """The checkpoint of the most iterations in ``directory``."""
    if not directory.is_dir():
        return None
    found = {int(match[1]): path for path in directory.iterdir() if (match := NUMBERED.fullmatch(path.name))}
    return found[max(found)] if found else None


def where_to_begin(config: Config, directory: Path, asked: Path | None) -> tuple[Path | None, bool]:
    """The checkpoint to take, and whether to go on from there, with the optimizer's state and its iterations.

    A directory that has checkpoints goes on from its newest one, so that the same command goes on after an interruption, unless
    ``asked`` is one of them.

    :raises UserError: if a training is to begin anew where there are checkpoints
    """
    restart = config.SOLVER.ITERATION_RESTART
    own = asked is not None and asked.resolve().parent == directory.resolve()
    if own and restart:
        raise UserError(f"{asked}: SOLVER.ITERATION_RESTART begins anew with its weights, but its directory is that of this "
                        "training, whose checkpoints would be lost. Name another DATASET.OUTPUT_PATH")
    there = newest(directory)
    if there is not None and not own:
        return there, True
    return asked, not restart


def remove_unfinished(directory: Path) -> None:
    """Remove what a training that was killed left of the checkpoint that it was writing; none may be at work."""
    for path in directory.iterdir():
        if UNFINISHED.fullmatch(path.name):
            path.unlink()
