"""Read checkpoints of either format."""

from pathlib import Path

from lsd_experiments.checkpoints import own, tensorflow1
from lsd_experiments.checkpoints.bundle import open_bundle
from lsd_experiments.checkpoints.checkpoint import Checkpoint, is_published
from lsd_experiments.errors import UserError


def read_checkpoint(path: str | Path) -> Checkpoint:
    """What ``path`` says of itself, without its weights. A name in ``.index`` is one of TensorFlow 1.

    :raises UserError: if it is missing, damaged, or not a checkpoint of the experiments.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such checkpoint")
    return tensorflow1.read_published(path) if is_published(path) else own.read_own(path)


def checkpoint_files(path: str | Path) -> tuple[Path, ...]:
    """All files of the checkpoint at ``path``: of TensorFlow 1, the index and then the data."""
    path = Path(path)
    return open_bundle(path).files if is_published(path) else (path,)
