"""What a checkpoint is, and the names that its files carry."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lsd_experiments.networks.network import Network

PREFIX = "train_net_checkpoint_"  # of the published files
SUFFIX = ".weights.h5"  # what Keras asks of a file of weights
BEST_SUFFIX = f".best{SUFFIX}"  # of the best so far, by validation
INDEX = ".index"  # of TensorFlow's checkpoints, beside <prefix>.data-00000-of-00001
VALIDATION = "validation"  # in a record: the newest validation of its training, see lsd_experiments.training.validation
AVERAGE = "average"  # in a record: what is said of the averages of weights that the file holds besides, see .average
POINTER = "checkpoint"  # the file that names the newest


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on disk: where it is, what was trained, and until which iteration.

    ``path``: of ours the ``.weights.h5`` file, of TensorFlow 1 the ``.index`` file. ``record``: seed, voxel size, options and
    provenance of the training; of TensorFlow 1 the ``scope`` of its variables, and nothing else.
    """

    path: Path
    iteration: int
    network: Network
    record: Mapping[str, Any]

    @property
    def published(self) -> bool:
        """Whether it is in the format of the published checkpoints, TensorFlow 1's."""
        return is_published(self.path)

    @property
    def averaged(self) -> bool:
        """Whether it holds averages of the weights, too: they predict, unless the plain ones are asked for."""
        return bool(self.record.get(AVERAGE))


def checkpoint_path(directory: str | Path, iteration: int, best: bool = False) -> Path:
    """Where our checkpoint of ``iteration`` lies in a setup directory; ``best``: the one that is kept as the best."""
    return Path(directory) / f"{PREFIX}{iteration}{BEST_SUFFIX if best else SUFFIX}"


def is_published(path: Path) -> bool:
    """Whether ``path`` is the name of a TensorFlow 1 checkpoint."""
    return path.name.endswith(INDEX)
