"""What is predicted: which voxels of which volume, in which blocks, with which network."""

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lsd_experiments import arrays
from lsd_experiments.arrays import Volume
from lsd_experiments.blockwise.stage import OutputVolume, describe_input
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box, Nanometres, to_nm
from lsd_experiments.networks.network import Network, Shape
from lsd_experiments.prediction.loading import Trained, find_trained, keras_backend, sha256
from lsd_experiments.provenance import provenance

RAW = "volumes/raw"  # the dataset, where none is named


@dataclass(frozen=True)
class PredictionSettings:
    """What to predict, as JSON values.

    ``setup``: the directory in 02_train. ``iteration``: of the checkpoint (None: the newest). ``roi_offset`` and
    ``roi_shape``: nm, in the world; without them all of raw is predicted, or with ``shrink`` the part whose context is raw
    too. ``input_shape``: voxels that a block reads (None: config.json's).
    """

    setup: str
    raw_file: str
    out_file: str
    raw_dataset: str | None = None
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
    """What :class:`PredictionSettings` come to. Boxes and shapes are in voxels of ``raw``.

    ``settings``: with nothing left open, so that they come to the same plan in another process, and later. ``total``: what
    is predicted. ``input_shape``: what a block reads; no larger than it takes to predict ``total`` in one.
    """

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
        return _margin(self.trained.network)

    @property
    def blocks(self) -> list[Box]:
        """What each block predicts; the last ones reach over the end of ``total``."""
        return list(self.total.blocks(self.write_shape))

    @property
    def offset(self) -> Nanometres:
        """Where in the world ``total`` begins, nm."""
        begin = to_nm(self.total.begin, self.raw.voxel_size)
        return tuple(o + b for o, b in zip(self.raw.offset, begin, strict=True))

    @property
    def outputs(self) -> dict[str, OutputVolume]:
        """The volume that is written for each head, by the head's name."""
        return {
            head.name: OutputVolume(
                container=self.settings.out_file,
                dataset=f"volumes/{head.name}",
                shape=self.total.shape,
                voxel_size=self.raw.voxel_size,
                offset=self.offset,
                dtype="uint8",
                write_shape=self.write_shape,
                channels=head.channels,
            )
            for head in self.trained.network.heads
        }

    def provenance(self) -> dict[str, Any]:
        """Where the outputs come from."""
        checkpoint = self.trained.checkpoint
        parameters = {
            "variant": self.trained.variant,
            "iteration": checkpoint.iteration,
            "input_shape": self.input_shape,
            "precision": self.settings.precision,
            "keras_backend": keras_backend(),
            "roi_offset": self.offset,
            "roi_shape": to_nm(self.total.shape, self.raw.voxel_size),
        }
        inputs = {
            "raw": describe_input(self.raw),
            "raw_offset": self.raw.offset,  # of a crop, these two are its own
            "raw_shape": self.raw.shape,
            "sha256_of_checkpoint": sha256(checkpoint.path),
        }
        return provenance("predict", parameters, inputs)


def make_plan(settings: PredictionSettings) -> Plan:
    """Check ``settings`` against what is on disk; nothing but metadata is read.

    :raises UserError: if something is missing, does not fit, or leaves nothing to predict.
    """
    setup, out_file = (str(Path(path).absolute()) for path in (settings.setup, settings.out_file))
    raw_file = settings.raw_file if "://" in settings.raw_file else str(Path(settings.raw_file).absolute())
    trained = find_trained(setup, settings.iteration, settings.input_shape)
    raw = arrays.open_volume(raw_file, settings.raw_dataset, default=RAW)
    if raw.channels is not None:
        raise UserError(f"{raw.name}: has {raw.channels} channels; raw is [z, y, x]. Name another dataset")
    arrays.check_voxel_size(raw, trained.voxel_size, f"that {trained.checkpoint.path.name} was trained on")
    total = _total(settings, raw, trained.network)
    z, y, x = map(min, trained.input_shape, trained.network.input_shape_for(total.shape))
    resolved = dataclasses.replace(
        settings,
        setup=setup,
        raw_file=raw_file,
        out_file=out_file,
        iteration=trained.checkpoint.iteration,
        input_shape=(z, y, x),
    )
    return Plan(resolved, trained, raw, total, (z, y, x))


def check_raw(plan: Plan) -> None:
    """:raises UserError: if raw cannot be brought to the network's range.

    Float raw of more than ``arrays.SEARCHED`` voxels is checked as it is read, block by block.
    """
    read = Box(plan.total.begin, plan.blocks[-1].end).grow(plan.margin).intersect(plan.raw.box)
    look = plan.raw.dtype.kind == "f" and math.prod(read.shape) <= arrays.SEARCHED
    values = plan.raw.read(read) if look else np.empty(0, plan.raw.dtype)
    where = "" if read == plan.raw.box else f" from voxel {read.begin} on"
    arrays.to_unit_range(values, name=plan.raw.name + where)


def _margin(network: Network) -> Shape:
    z, y, x = network.context
    return (z // 2, y // 2, x // 2)


def _total(settings: PredictionSettings, raw: Volume, network: Network) -> Box:
    offset, shape = settings.roi_offset, settings.roi_shape
    if offset is not None and shape is not None:
        return arrays.to_box(raw, offset, shape)
    if offset is not None or shape is not None:
        raise UserError(f"the ROI has no {'shape' if shape is None else 'offset'}. Give both its offset and its shape, or none")
    if not settings.shrink:
        return raw.box
    margin = _margin(network)
    total = raw.box.grow([-m for m in margin])
    if total.empty:
        raise UserError(
            f"{raw.name}: {raw.shape} voxels are too few for one block: the network takes {margin} off each side. Pad with "
            "zeros by --pad, or name a larger volume"
        )
    return total
