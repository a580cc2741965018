"""The trained network of a setup directory."""

import contextlib
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lsd_experiments import checkpoints, networks
from lsd_experiments.checkpoints import Checkpoint
from lsd_experiments.datasets import find_dataset
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Nanometres
from lsd_experiments.networks.network import Network, Shape

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Trained:
    """A setup directory's network and checkpoint, and the input shape (z, y, x) in voxels that it predicts with."""

    setup: Path
    checkpoint: Checkpoint
    input_shape: Shape

    @property
    def network(self) -> Network:
        """As it was trained: the feature maps are the checkpoint's, whatever mknet.py says."""
        return self.checkpoint.network

    @property
    def variant(self) -> str:
        """What provenance calls it: ``zebrafinch/mtlsd``."""
        return "/".join(self.setup.resolve().parts[-2:])

    @property
    def voxel_size(self) -> Nanometres:
        """(z, y, x) in nm of what it was trained on; if the checkpoint does not say, as those of TensorFlow 1, its dataset's.

        :raises UserError: if neither is known.
        """
        voxel_size = self.checkpoint.record.get("voxel_size")
        if voxel_size is not None:
            return tuple(voxel_size)
        facts = find_dataset(self.setup)
        if facts is None:
            raise UserError(
                f"{self.checkpoint.path}: does not say which voxel size it was trained on, and no dataset.toml says it: there is "
                f"none in {self.setup}, nor in the directory around it. Copy that of its dataset there"
            )
        return facts.voxel_size

    def model(self, input_shape: Shape, precision: str) -> "keras.Model":
        """The Keras model with its weights."""
        _let_gpu_memory_grow()
        model = self.network.build(input_shape, precision, quick=True)
        checkpoints.load_checkpoint(model, self.checkpoint.path)
        return model


def find_trained(setup: str | Path, iteration: int | None = None, input_shape: Shape | None = None) -> Trained:
    """What ``config.json`` and the checkpoint of ``iteration`` (default: the newest) in ``setup`` say.

    :param input_shape: (z, y, x) in voxels, instead of config.json's.
    :raises UserError: if either is missing, they disagree on more than feature maps, or the input shape is not legal.
    """
    setup = Path(setup)
    if not setup.is_dir():
        raise UserError(f"{setup}: no such directory. Name one of 02_train, in which mknet.py and train.py ran")
    described = networks.read(setup / "config.json")
    checkpoint = checkpoints.require_checkpoint(setup, iteration)
    asked = checkpoints.with_widths(described.network, checkpoint.network)
    checkpoints.require_same_network(asked, checkpoint, "Run mknet.py again, or name another checkpoint")
    shape = input_shape or described.input_shape
    checkpoint.network.check_input_shape(shape)
    return Trained(setup, checkpoint, shape)


def sha256(path: Path) -> str:
    """The hash of the checkpoint at ``path``; of TensorFlow 1, of the index and the data, one after the other."""
    digest = hashlib.sha256()
    for part in checkpoints.checkpoint_files(path):
        with part.open("rb") as file:
            while block := file.read(2**20):
                digest.update(block)
    return digest.hexdigest()


def keras_backend() -> str:
    """The backend that Keras takes when it is imported; it is not imported for this."""
    settings = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "keras.json"
    try:
        configured = json.loads(settings.read_text()).get("backend")
    except (OSError, ValueError, AttributeError):
        configured = None
    return os.environ.get("KERAS_BACKEND") or configured or "tensorflow"


def _let_gpu_memory_grow() -> None:
    """Take GPU memory as it is needed, so that workers can share a GPU; JAX is told so by the workers' environment."""
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with contextlib.suppress(RuntimeError):  # this process has used the GPU before: it is too late, and does no harm
            for gpu in tf.config.list_physical_devices("GPU"):
                tf.config.experimental.set_memory_growth(gpu, True)
