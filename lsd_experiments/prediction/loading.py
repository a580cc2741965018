"""The trained network of a setup directory."""

import dataclasses
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lsd_experiments import checkpoints
from lsd_experiments.checkpoints import Checkpoint
from lsd_experiments.checkpoints.torch_weights import TorchCheckpoint, find_weights
from lsd_experiments.datasets import find_dataset
from lsd_experiments.errors import UserError
from lsd_experiments.frameworks import import_keras
from lsd_experiments.geometry import Nanometres
from lsd_experiments.networks.files import DIRECTIONS, read_any
from lsd_experiments.networks.network import Head, Shape
from lsd_experiments.networks.protocols import Model, NetworkLike
from lsd_experiments.networks.torch_network import TorchNetwork
from lsd_experiments.provenance import AVERAGED


@dataclass(frozen=True)
class TrainedNetwork:
    """A setup directory's network and checkpoint, and the input shape (z, y, x) in voxels that it predicts with.

    ``plain``: with the weights of the last iteration, though there may be averages of them.
    """

    setup: Path
    checkpoint: Checkpoint | TorchCheckpoint
    input_shape: Shape
    plain: bool = False

    @property
    def network(self) -> NetworkLike:
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

    def model(self, input_shape: Shape, precision: str) -> Model:
        """Its model for ``input_shape``, with its weights."""
        if isinstance(self.checkpoint, TorchCheckpoint):
            from lsd_experiments.networks.torch_model import TorchModel

            module = TorchModel.build(self.checkpoint.network, self.setup, input_shape, precision)
            module.load(self.checkpoint.path)
            return module
        import_keras()
        from lsd_experiments.networks.keras_model import KerasModel

        model = KerasModel.build(self.checkpoint.network, input_shape, precision)
        model.load(self.checkpoint.path, self.plain)
        return model

    @property
    def averaged(self) -> bool:
        """Whether it predicts with averages of weights."""
        return isinstance(self.checkpoint, Checkpoint) and self.checkpoint.averaged and not self.plain

    @property
    def made_by(self) -> dict[str, Any]:
        """What, besides weights, its outputs depend on, for provenance."""
        if isinstance(self.checkpoint, TorchCheckpoint):
            network = self.checkpoint.network
            return {"framework": "torch", "module": network.module, "sha256_of_module": network.fingerprint(self.setup)}
        return {"keras_backend": keras_backend(), **self.kind_of_weights}

    @property
    def kind_of_weights(self) -> dict[str, bool]:
        """What provenance says of them: nothing of plain ones."""
        return {AVERAGED: True} if self.averaged else {}


def find_trained(
    setup: str | Path, iteration: int | str | None = None, input_shape: Shape | None = None, plain: bool = False
) -> TrainedNetwork:
    """What ``config.json`` and the checkpoint of ``iteration``, or the ``"best"``, (default: the newest) in ``setup`` say.

    :param input_shape: (z, y, x) in voxels, instead of config.json's.
    :param plain: predict with the weights of the last iteration where there are averages of them, too
    :raises UserError: if either is missing, they disagree on more than feature maps, or the input shape is not legal.
    """
    setup = Path(setup)
    if not setup.is_dir():
        raise UserError(f"{setup}: no such directory. Name one of 02_train, in which mknet.py and train.py ran")
    described, usual = read_any(setup / "config.json")
    shape = input_shape or usual
    if isinstance(described, TorchNetwork):
        described.check_input_shape(shape)
        return TrainedNetwork(setup, find_weights(setup, described, iteration), shape)
    checkpoint = checkpoints.require_checkpoint(setup, iteration)
    asked = checkpoints.with_widths(described, checkpoint.network)
    checkpoints.require_same_network(asked, checkpoint, "Run mknet.py again, or name another checkpoint")
    checkpoint.network.check_input_shape(shape)
    network = dataclasses.replace(checkpoint.network, heads=_with_directions(checkpoint.network.heads, described.heads))
    return TrainedNetwork(setup, dataclasses.replace(checkpoint, network=network), shape, plain)


def _with_directions(trained: tuple[Head, ...], described: tuple[Head, ...]) -> tuple[Head, ...]:
    """The heads of a checkpoint, with what config.json says of their channels, or else the training."""
    said = {head.name: {key: getattr(head, key) for key in DIRECTIONS if getattr(head, key) is not None} for head in described}
    return tuple(dataclasses.replace(head, **said[head.name]) for head in trained)


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
