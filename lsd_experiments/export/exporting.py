"""A checkpoint, exported: ``export_checkpoint.py``."""

import importlib.util
import json
import os
from collections.abc import Sequence
from pathlib import Path

from lsd_experiments import checkpoints, frameworks
from lsd_experiments.checkpoints import Checkpoint
from lsd_experiments.errors import UserError
from lsd_experiments.export.onnx_file import write_onnx
from lsd_experiments.export.weights import Weights, torch_weights, write_safetensors
from lsd_experiments.intensity import NOTE
from lsd_experiments.networks.files import to_json
from lsd_experiments.prediction.loading import sha256
from lsd_experiments.provenance import provenance
from lsd_experiments.writing import check_writable

SUFFIXES = {"torch": ".safetensors", "onnx": ".onnx"}
PACKAGES = {"torch": "safetensors", "onnx": "onnx"}  # what writes them: the extra "export"
INSTALL = "pip install --constraint constraints.txt --editable '.[export]'"


def target(path: str | Path, format: str | None = None) -> tuple[Path, str]:
    """The file that ``path`` stands for, and its format.

    The suffix says the format; if it says none, ``format`` does, and its suffix is added.

    :raises UserError: if neither says the format, they disagree, or the file is a directory
    """
    path = Path(path)
    named = {suffix: name for name, suffix in SUFFIXES.items()}.get(path.suffix)
    if named and format not in (None, named):
        raise UserError(f"{path}: is {named} by its suffix, and {format} was asked for. Leave --format out, or name another file")
    chosen = named or format
    if chosen is None:
        raise UserError(f"{path}: its suffix says no format. End it in {' or '.join(SUFFIXES.values())}, or pass --format")
    if not named:
        path = path.with_name(path.name + SUFFIXES[chosen])
    if path.is_dir():
        raise UserError(f"{path}: is a directory. Name a file")
    return path, chosen


def export_checkpoint(
    checkpoint: Checkpoint, path: Path, format: str, input_shape: Sequence[int] | None = None, plain: bool = False
) -> None:
    """Write the network and the weights of ``checkpoint`` to ``path``, in the place of what is there.

    :param format: ``torch`` or ``onnx``
    :param input_shape: (z, y, x) in voxels to which an ONNX file is bound (default: any legal shape)
    :param plain: the weights of the last iteration, where there are averages of them, too
    :raises UserError: if what writes the format is not installed, ``input_shape`` is not legal or the format knows none,
        or the network cannot be written in the format
    """
    network = checkpoint.network
    if input_shape is not None:
        if format != "onnx":
            raise UserError("--input-shape is for ONNX; weights for PyTorch fit all shapes. Leave it out")
        network.check_input_shape(input_shape)
    if importlib.util.find_spec(PACKAGES[format]) is None:
        raise UserError(f"{path}: {PACKAGES[format]}, which writes it, is not installed. In the repository: {INSTALL}")
    check_writable(path.absolute().parent)
    weights, metadata = _load(checkpoint, plain), _metadata(checkpoint, format, input_shape, plain)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        if format == "onnx":
            write_onnx(network, weights, metadata, beside, input_shape)
        else:
            write_safetensors(weights, metadata, beside)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _load(checkpoint: Checkpoint, plain: bool) -> Weights:
    frameworks.import_keras()
    model = checkpoint.network.build(checkpoint.network.smallest_input_shape)
    checkpoints.load_checkpoint(model, checkpoint.path, plain)
    return torch_weights(model)


def _metadata(checkpoint: Checkpoint, format: str, input_shape: Sequence[int] | None, plain: bool) -> dict[str, str]:
    """What the file says of itself, as JSON by key: ``network``, ``provenance``; ``voxel_size`` (nm), ``raw_range`` if known."""
    parameters = {
        "format": format,
        "input_shape": input_shape and list(input_shape),
        "iteration": checkpoint.iteration,
        **({"averaged_weights": True} if checkpoint.averaged and not plain else {}),
    }
    inputs = {
        "checkpoint": "/".join(checkpoint.path.resolve().parts[-3:]),  # dataset, variant, file
        "sha256_of_checkpoint": sha256(checkpoint.path),
    }
    values = {
        "network": to_json(checkpoint.network),
        "voxel_size": checkpoint.record.get("voxel_size"),
        "raw_range": checkpoint.record.get(NOTE),
        "provenance": provenance("export_checkpoint", parameters, inputs),
    }
    return {key: json.dumps(value) for key, value in values.items() if value is not None}
