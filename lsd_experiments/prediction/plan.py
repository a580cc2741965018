"""What is predicted: which voxels of which volumes, in which blocks, with which networks."""

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lsd_experiments import arrays, intensity
from lsd_experiments.arrays import Volume
from lsd_experiments.arrays.addresses import is_address
from lsd_experiments.arrays.public import address_of
from lsd_experiments.arrays.resampling import resampled
from lsd_experiments.datasets import find_dataset
from lsd_experiments.errors import UserError
from lsd_experiments.fitting import check_raw as check_voxels
from lsd_experiments.geometry import Box, Nanometres, Voxels, to_nm
from lsd_experiments.networks.network import Shape
from lsd_experiments.prediction.autocontext import LSDS, check_made_of, find_lsd_network, open_lsds, takes_lsds
from lsd_experiments.prediction.intensities import RawRange, find_range
from lsd_experiments.prediction.loading import TrainedNetwork, find_trained, sha256
from lsd_experiments.prediction.passes import Pass, lead_of, margin, seamless_input_for, seamless_shape
from lsd_experiments.prediction.patches import find_tiling
from lsd_experiments.prediction.settings import OF_LSDS, RAW, PredictionSettings
from lsd_experiments.provenance import provenance
from lsd_experiments.stages.inputs import describe_input
from lsd_experiments.stages.volumes import VolumeArtifact

RESAMPLE = "pass --resample (resample = true in [predict])"


@dataclass(frozen=True)
class Plan:
    """What :class:`PredictionSettings` come to. Boxes and shapes are in voxels of ``grid``.

    ``settings``: with nothing left open, so that they come to the same plan in another process, and later. ``inputs``: the
    volumes that are read, by the names of the networks' inputs. ``total``: what is predicted. ``passes``: the networks, in the
    order in which they run. ``raw``: the values of raw that are 0 and 1, if it is read. ``write_shape``: what a
    block predicts; no larger than it takes to predict ``total`` in one.
    """

    settings: PredictionSettings
    inputs: dict[str, Volume]
    total: Box
    passes: tuple[Pass, ...]
    write_shape: Shape
    raw: RawRange | None = None

    @property
    def trained(self) -> TrainedNetwork:
        """The network whose outputs are written."""
        return self.passes[-1].trained

    @property
    def grid(self) -> Volume:
        """The volume in whose voxels all is counted: raw, if it is read."""
        return _grid(self.inputs)

    @property
    def input_shape(self) -> Shape:
        """Voxels that a block of the last network reads."""
        return self.passes[-1].input_shape

    @property
    def margin(self) -> Voxels:
        """Voxels that blocks reach further than what they write, at most."""
        return _sum(*(one.reach for one in self.passes))

    @property
    def blocks(self) -> list[Box]:
        """What each block predicts; the last ones reach over the end of ``total``."""
        return list(self.total.blocks(self.write_shape))

    @property
    def offset(self) -> Nanometres:
        """Where in the world ``total`` begins, nm."""
        begin = to_nm(self.total.begin, self.grid.voxel_size)
        return tuple(o + b for o, b in zip(self.grid.offset, begin, strict=True))

    @property
    def outputs(self) -> dict[str, VolumeArtifact]:
        """The volume that is written for each head, by the head's name."""
        return {
            head.name: VolumeArtifact(
                container=self.settings.out_file,
                dataset=f"volumes/{head.name}",
                shape=self.total.shape,
                voxel_size=self.grid.voxel_size,
                offset=self.offset,
                dtype="uint8",
                write_shape=self.write_shape,
                channels=head.predicted_channels,
            )
            for head in self.trained.network.heads
        }

    @property
    def _of_patches(self) -> dict[str, Any]:
        """What provenance says of patches: nothing if each block is one, as it was before there were others."""
        if self.passes[-1].tiling is None:
            return {}
        said = {key: getattr(self.settings, key) for key in ("patch_step", "blend", "flips", "transposes", "parity")}
        neighborhoods = {head.name: head.neighborhood for head in self.trained.network.heads if head.neighborhood is not None}
        if (self.settings.flips or self.settings.transposes) and not self.settings.parity:
            said["neighborhoods"] = neighborhoods  # which channels are exchanged
            said["targets"] = {head.name: head.target for head in self.trained.network.heads if head.target is not None}
        return {key: value for key, value in said.items() if value}

    def provenance(self) -> dict[str, Any]:
        """Where the outputs come from."""
        parameters = {
            "variant": self.trained.variant,
            "iteration": self.trained.checkpoint.iteration,
            "input_shape": self.input_shape,
            "precision": self.settings.precision,
            **self.trained.made_by,
            "roi_offset": self.offset,
            "roi_shape": to_nm(self.total.shape, self.grid.voxel_size),
            **({"seamless": True} if self.settings.seamless else {}),
            **self._of_patches,
            **({"raw_range": self.raw.low_high} if self.raw and not self.raw.is_the_types else {}),
        }
        inputs: dict[str, Any] = {"sha256_of_checkpoint": sha256(self.trained.checkpoint.path)}
        for name, volume in self.inputs.items():
            inputs |= {name: describe_input(volume), f"{name}_offset": volume.offset, f"{name}_shape": volume.shape}
        if len(self.passes) > 1:
            first = self.passes[0].trained
            inputs["sha256_of_lsds_checkpoint"] = sha256(first.checkpoint.path)
            parameters |= {f"lsds_{key}": value for key, value in first.kind_of_weights.items()}
        return provenance("predict", parameters, inputs)


def make_plan(settings: PredictionSettings) -> Plan:
    """Check ``settings`` against what is on disk; nothing but metadata is read, and a sample of raw where that says its range.

    :raises UserError: if something is missing, does not fit, or leaves nothing to predict.
    """
    settings = _absolute(settings)
    trained = find_trained(settings.setup, settings.iteration, settings.input_shape, settings.plain_weights)
    lsds = _lsd_network(settings, trained)
    inputs = _inputs(settings, trained, lsds)
    raw = find_range(inputs.get("raw"), settings.raw_range, lsds or trained)
    total = _total(settings, inputs, [margin(one.network) for one in (lsds, trained) if one])
    last, write_shape = _last_pass(settings, trained, _grid(inputs), total)
    passes = (last,) if lsds is None else (_first_pass(settings, lsds, _grid(inputs), last.read(total)), last)
    resolved = dataclasses.replace(
        _with_raw(settings) if "raw" in inputs else settings,
        iteration=trained.checkpoint.iteration,
        input_shape=last.input_shape,
        patch_step=last.tiling.step if last.tiling else None,
        raw_range=raw.low_high if raw else None,
        lsds_iteration=lsds.checkpoint.iteration if lsds else settings.lsds_iteration,
    )
    return Plan(resolved, inputs, total, passes, write_shape, raw)


def check_raw(plan: Plan) -> None:
    """Say so if raw is not of the values that the network was trained on.

    Float raw of more than ``arrays.SEARCHED`` voxels is checked as it is read, block by block.

    :raises UserError: if a value is not finite
    """
    raw = plan.inputs.get("raw")
    if raw is None or plan.raw is None:
        return
    reach = _sum(*(one.reach if one.tiling else one.margin for one in plan.passes))
    read = Box(plan.total.begin, plan.blocks[-1].end).grow(reach).intersect(raw.box)
    if math.prod(read.shape) <= arrays.SEARCHED:
        intensity.check_all_finite(raw, read)
    plan.raw.say()


def _absolute(settings: PredictionSettings) -> PredictionSettings:
    """``settings`` with all paths absolute; URLs, and names of public volumes, are addresses."""
    paths = {key: getattr(settings, key) for key in ("setup", "out_file", "raw_file", "lsds_file", "lsds_setup")}
    named = {key: address_of(path) if key in ("raw_file", "lsds_file") else path for key, path in paths.items() if path}
    absolute: dict[str, Any] = {key: path if is_address(path) else str(Path(path).absolute()) for key, path in named.items()}
    return dataclasses.replace(settings, **absolute)


def _lsd_network(settings: PredictionSettings, trained: TrainedNetwork) -> TrainedNetwork | None:
    """The network that makes LSDs on the fly, if one is to."""
    if not takes_lsds(trained.network):
        _refuse(settings, f"{trained.variant} takes no LSDs", *OF_LSDS)
        return None
    if not settings.lsds_on_the_fly:
        _refuse(settings, "LSDs are read from disk", "lsds_iteration")
        return None
    _refuse(settings, "LSDs are made on the fly", "lsds_file", "lsds_dataset")
    record = trained.checkpoint.record.get(LSDS)
    return find_lsd_network(settings.setup, settings.lsds_setup, settings.lsds_iteration, record)


def _refuse(settings: PredictionSettings, reason: str, *keys: str) -> None:
    """:raises UserError: if one of ``keys`` is set, which would not be looked at."""
    for key in keys:
        if getattr(settings, key):
            raise UserError(f"{reason}, but {key} was given. Leave it out")


def _inputs(settings: PredictionSettings, trained: TrainedNetwork, lsds: TrainedNetwork | None) -> dict[str, Volume]:
    """What is read, raw first."""
    inputs = {}
    names = [source.name for source in trained.network.inputs]
    if "raw" in names or lsds:
        inputs["raw"] = _open_raw(settings)
    if LSDS in names and not lsds:
        inputs[LSDS] = open_lsds(trained, settings.lsds_setup, settings.lsds_file, settings.lsds_dataset)
        if "raw" in inputs or settings.raw_file is not None:
            check_made_of(inputs[LSDS], inputs.get("raw") or _open_raw(settings))
    if settings.resample and "raw" in inputs:
        inputs["raw"] = resampled(inputs["raw"], trained.voxel_size, "raw")
    for name, volume in inputs.items():
        remedy = RESAMPLE if name == "raw" else "make it of the same raw as this network is given"
        arrays.check_voxel_size(volume, trained.voxel_size, f"that {trained.checkpoint.path.name} was trained on", remedy)
    return inputs


def _grid(inputs: dict[str, Volume]) -> Volume:
    """The first of the volumes, raw where it is read."""
    return next(iter(inputs.values()))


def _open_raw(settings: PredictionSettings) -> Volume:
    settings = _with_raw(settings)
    if settings.raw_file is None:
        raise UserError("raw: no volume is named, and none was fetched. Name one by --raw-file, or run 01_data/fetch_data.py")
    raw = arrays.open_volume(settings.raw_file, settings.raw_dataset, default=RAW)
    check_voxels(raw, RAW)
    return raw


def _with_raw(settings: PredictionSettings) -> PredictionSettings:
    """``settings`` with the volume that the dataset says, where none is named, and with its dataset, where that is not named."""
    facts = find_dataset(settings.setup)
    if facts is None or facts.predicted is None:
        return settings
    if settings.raw_file is not None and Path(settings.raw_file).name != Path(facts.predicted).name:
        return settings
    usual = facts.directory / facts.predicted
    raw_file = settings.raw_file or (str(usual) if usual.exists() else None)
    dataset = settings.raw_dataset or facts.predicted_raw or (facts.raw if facts.raw != RAW else None)
    return dataclasses.replace(settings, raw_file=raw_file, raw_dataset=dataset)


def _total(settings: PredictionSettings, inputs: dict[str, Volume], margins: list[Shape]) -> Box:
    grid = _grid(inputs)
    offset, shape = settings.roi_offset, settings.roi_shape
    if offset is not None and shape is not None:
        return arrays.to_box(grid, offset, shape)
    if offset is not None or shape is not None:
        raise UserError(f"the ROI has no {'shape' if shape is None else 'offset'}. Give both its offset and its shape, or none")
    if LSDS in inputs:
        return arrays.overlap(grid, inputs[LSDS])[0]  # as published: zeros around the LSDs are their context
    if not settings.shrink:
        return grid.box
    total = grid.box.grow([-m for m in _sum(*margins)])
    if total.empty:
        raise UserError(
            f"{grid.name}: {grid.shape} voxels are too few for one block: the network takes {_sum(*margins)} off each side. Pad "
            "with zeros by --pad, or name a larger volume"
        )
    return total


def _last_pass(settings: PredictionSettings, trained: TrainedNetwork, grid: Volume, total: Box) -> tuple[Pass, Shape]:
    """The pass of the network whose outputs are written, and what each of its blocks writes."""
    network, given = trained.network, trained.input_shape
    tiling = find_tiling(settings, trained, grid.voxel_size, total.begin, _in_world(grid, Box((0, 0, 0), (0, 0, 0))))
    if tiling is not None:
        channels = sum(head.predicted_channels for head in network.heads)
        return Pass(trained, given, tiling=tiling), tiling.block_shape(total.shape, channels)
    if not settings.seamless:
        one = Pass(trained, _smaller(given, network.input_shape_for(total.shape)))
        return one, one.output_shape
    lead = lead_of(network, _in_world(grid, total))
    one = Pass(trained, _smaller(given, seamless_input_for(network, total.shape, lead)), lead)
    return one, seamless_shape(network, one.input_shape, lead)


def _first_pass(settings: PredictionSettings, lsds: TrainedNetwork, grid: Volume, read: Box) -> Pass:
    """The pass that makes LSDs for blocks of the last one, of which the first reads ``read``."""
    lead = lead_of(lsds.network, _in_world(grid, read)) if settings.seamless else (0, 0, 0)
    return Pass(lsds, lsds.network.input_shape_for(_sum(read.shape, lead)), lead)


def _in_world(grid: Volume, box: Box) -> Voxels:
    """Where ``box`` begins, in voxels from the world's origin: the same for a volume and a crop of it."""
    return tuple(b + round(o / v) for b, o, v in zip(box.begin, grid.offset, grid.voxel_size, strict=True))


def _smaller(first: Shape, second: Shape) -> Shape:
    z, y, x = map(min, first, second)
    return (z, y, x)


def _sum(*shapes: Voxels) -> Voxels:
    return tuple(map(sum, zip(*shapes, strict=True)))
