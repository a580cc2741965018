"""What is predicted: which voxels of which volume, in which blocks, with which network."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lsd_experiments import arrays
from lsd_experiments.arrays import Volume
from lsd_experiments.blockwise.stage import OutputVolume, describe_input
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box, Nanometres, to_nm
from lsd_experiments.networks.network import Shape
from lsd_experiments.prediction.loading import Trained, find_trained, sha256
from lsd_experiments.provenance import provenance

SMALL = 2**28  # voxels of float raw that are read whole to look for what is not a number


@dataclass(frozen=True)
class PredictionSettings:
    """What to predict, as JSON values.

    ``setup``: the directory in 02_train. ``roi_offset`` and ``roi_shape``: nm, in the world. Without them all of raw, or with
    ``shrink`` the part of it whose context is raw too. ``iteration``: of the checkpoint (None: the newest).
    """

    setup: str
    raw_file: str
    raw_dataset: str
    out_file: str
    iteration: int | None = None
    roi_offset: Nanometres | None = None
    roi_shape: Nanometres | None = None
    shrink: bool = False
    input_shape: Shape | None = None
    precision: str = "float32"

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "PredictionSettings":
        """From what ``dataclasses.asdict`` gave, after a way through JSON."""
        given: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
        return cls(**given)


@dataclass(frozen=True)
class Plan:
    """What :class:`PredictionSettings` come to; ``total``: the voxels of ``raw`` to predict."""

    settings: PredictionSettings
    trained: Trained
    raw: Volume
    total: Box
    input_shape: Shape

    @property
    def write_shape(self) -> Shape:
        """Voxels that one block predicts."""
        return self.trained.network.output_shape(self.input_shape)

    @property
    def margin(self) -> Shape:
        """Voxels of context on each side of a block."""
        z, y, x = self.trained.network.context
        return (z // 2, y // 2, x // 2)

    def outputs(self) -> list[OutputVolume]:
        """The volumes that are written, one per head."""
        offset = tuple(
            o + n for o, n in zip(self.raw.offset, to_nm(self.total.begin, self.raw.voxel_size), strict=True)
        )
        return [
            OutputVolume(
                self.settings.out_file,
                f"volumes/{head.name}",
                self.total.shape,
                self.raw.voxel_size,
                offset,
                "uint8",
                self.write_shape,
                head.channels,
            )
            for head in self.trained.network.heads
        ]

    def provenance(self) -> dict[str, Any]:
        """Where the outputs come from."""
        checkpoint = self.trained.checkpoint
        parameters = {
            "setup": self.trained.setup.resolve().parent.name + "/" + self.trained.setup.resolve().name,
            "iteration": checkpoint.iteration,
            "input_shape": self.input_shape,
            "precision": self.settings.precision,
            "roi_begin": self.total.begin,
            "roi_end": self.total.end,
        }
        return provenance(
            "predict", parameters, {"raw": describe_input(self.raw), "checkpoint_sha256": sha256(checkpoint.path)}
        )


def make_plan(settings: PredictionSettings) -> Plan:
    """Check ``settings`` against what is on disk.

    :raises UserError: if something is missing, does not fit, or leaves nothing to predict.
    """
    trained = find_trained(settings.setup, settings.iteration, settings.input_shape)
    raw = arrays.open_volume(settings.raw_file, settings.raw_dataset)
    if raw.channels is not None:
        raise UserError(f"{raw.name}: has {raw.channels} channels; raw is [z, y, x]. Name another dataset")
    arrays.check_voxel_size(
        raw, trained.checkpoint.record["voxel_size"], f"that {trained.checkpoint.path.name} was trained on"
    )
    few = raw.dtype.kind == "f" and np.prod(raw.shape) <= SMALL
    arrays.to_unit_range(raw.read(None if few else Box((0, 0, 0), (1, 1, 1))), name=raw.name)
    total = _total(settings, raw, trained)
    network = trained.network
    covering = network.input_shape_for(total.shape)
    z, y, x = (
        min(a, b) for a, b in zip(trained.input_shape, covering, strict=True)
    )  # no larger than there is to predict
    paths: dict[str, Any] = {key: str(Path(getattr(settings, key)).absolute()) for key in ("setup", "out_file")}
    return Plan(dataclasses.replace(settings, **paths), trained, raw, total, (z, y, x))


def _total(settings: PredictionSettings, raw: Volume, trained: Trained) -> Box:
    if settings.roi_offset is not None or settings.roi_shape is not None:
        if settings.roi_offset is None or settings.roi_shape is None:
            raise UserError("an ROI needs both its offset and its shape")
        return arrays.to_box(raw, settings.roi_offset, settings.roi_shape)
    if not settings.shrink:
        return raw.box
    margin = [lost // 2 for lost in trained.network.context]
    total = raw.box.grow([-m for m in margin])
    if total.empty:
        raise UserError(
            f"{raw.name}: {raw.shape} voxels are too few for one block: the network takes {tuple(margin)} off each side. "
            "Pad with zeros by --pad, or name a larger volume"
        )
    return total
