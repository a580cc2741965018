"""What a training is asked to do, on the command line of ``train.py``."""

import argparse
import dataclasses
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from lsd_experiments import cli
from lsd_experiments.errors import UserError
from lsd_experiments.networks.network import Network
from lsd_experiments.options import (
    REQUIRED,
    NotNegative,
    Parsed,
    Positive,
    PositiveNumber,
    PositiveShape,
    Share,
    Which,
    add_options,
    given,
    option,
)
from lsd_experiments.raw_range import WHICH, Setting, parse
from lsd_experiments.training.schedule import Schedule

if TYPE_CHECKING:
    from lsd_experiments.training.experiment import Experiment

PUBLISHED_WORKERS = 10
LATER = ("resample", "minutes", "validate_every", "validate_segmentation",
         "average_weights", "warm_up", "decay")  # records of before know nothing of them


@dataclass(frozen=True)
class TrainingOptions:
    """The options of ``train.py``. Their order is that of the record in checkpoints."""

    iterations: Positive = option(REQUIRED, "train until iteration N, from the newest checkpoint that exists", "iterations",
                                  metavar="N")
    data: tuple[str, ...] = option(
        (), "training volumes (zarr, HDF5, N5, or a crop.json); default: the dataset's own, in 01_data", metavar="CONTAINER")
    batch_size: Positive = option(1, "samples per batch (default: one for each device)")
    num_workers: NotNegative = option(
        1, f"processes that make batches; 0: none (default: {PUBLISHED_WORKERS}, or as many as there are cores)")
    save_every: Positive = option(10_000, "iterations from checkpoint to checkpoint (default: %(default)s)")
    snapshot_every: Positive = option(1_000, "iterations from snapshot to snapshot (default: %(default)s)")
    seed: NotNegative | None = option(None, "of weights and batches (default: a random one, kept in the checkpoint)")
    learning_rate: float = option(0.5e-4, "of Adam (default: %(default)g, as published)")
    log_dir: str | None = option(None, "where TensorBoard's files go (default: log, beside train.py)", metavar="DIRECTORY")
    precision: Literal["float32", "bfloat16", "float16"] = option(
        "float32",
        "bfloat16, or float16 with a scaled loss, computes convolutions in it; weights stay float32 (default: %(default)s)")
    num_fmaps: Positive | None = option(None, "feature maps at level 0, instead of mknet.py's")
    fmap_inc_factor: Positive | None = option(None, "by which they grow per level, instead of mknet.py's")
    input_shape: PositiveShape | None = option(None, "voxels, instead of mknet.py's")
    lsds_setup: str | None = option(None, "of the trained network that makes the LSDs (default: ../lsd)", metavar="DIRECTORY")
    lsds_checkpoint: Which | None = option(None, "its checkpoint's iteration, or best (default: the newest)", metavar="N|best")
    malis_from: NotNegative | None = option(
        None, "the last iteration of the weighted squared error; MALIS comes after it (default: %(default)s, or as before)",
        metavar="N")
    devices: Positive = option(1, "train on N GPUs, each with its share of a batch (default: 1)", metavar="N")
    parity: bool | None = option(None, "make targets as published: docs/differences.md (default: as before, else corrected)")
    raw_range: Annotated[Setting, Parsed(parse)] | None = option(
        None, f"{WHICH} (default: uint8: its type's; other types: what the volumes hold; a checkpoint's own where one goes on)",
        metavar="VALUE")
    force: bool = option(False, "train on labels that show no boundary, too")
    resample: bool = option(False, "volumes of other voxels than dataset.toml's are resampled to these: docs/formats.md")
    minutes: PositiveNumber | None = option(
        None, "stop after the iteration at which so many have passed; the same command goes on (default: do not)", metavar="M")
    validate_every: Positive | None = option(
        None, "iterations between validations, on the part that dataset.toml keeps for it (default: no validation)",
        metavar="N")
    validate_segmentation: bool = option(
        False, "with --validate-every: segment the part, too, and its VOI says which checkpoint is the best")
    average_weights: Share | None = option(
        None, "like 0.999: keep a moving average of the weights, too, which validates and predicts; 0: none (default: as before, "
        "else none)", metavar="DECAY")
    warm_up: NotNegative = option(0, "iterations in which the learning rate grows to --learning-rate (default: 0)", metavar="N")
    decay: tuple[NotNegative, Positive] | None = option(
        None, "iterations between which the learning rate falls to a hundredth, where it stays (default: it does not)",
        metavar=("FROM", "TO"))

    def record(self) -> dict[str, Any]:
        """The options as JSON values; of :data:`LATER` those that were given."""
        return {key: value for key, value in dataclasses.asdict(self).items() if value or key not in LATER}

    @property
    def schedule(self) -> Schedule:
        """The learning rate of each iteration."""
        return Schedule(self.learning_rate, self.warm_up, self.decay)

    def applied_to(self, network: Network) -> Network:
        """``network`` with the feature maps that the options ask for; ``num_fmaps_out`` keeps its ratio, rounded up."""
        num_fmaps = self.num_fmaps or network.num_fmaps
        out = network.num_fmaps_out and -(-network.num_fmaps_out * num_fmaps // network.num_fmaps)
        return dataclasses.replace(
            network,
            num_fmaps=num_fmaps,
            num_fmaps_out=out,
            fmap_inc_factor=self.fmap_inc_factor or network.fmap_inc_factor,
        )


def parser(description: str | None, experiment: "Experiment") -> argparse.ArgumentParser:
    """The command line of the ``train.py`` of ``experiment``."""
    without = () if experiment.first_network else ("lsds_setup", "lsds_checkpoint")
    if experiment.malis_from is None:
        without = (*without, "malis_from")
    defaults = {"save_every": experiment.save_every, "snapshot_every": experiment.snapshot_every,
                "learning_rate": experiment.optimizer.learning_rate}
    parser = cli.parser(description)
    add_options(parser, TrainingOptions, without, {**defaults, "malis_from": experiment.malis_from})
    parser.set_defaults(batch_size=None, num_workers=min(PUBLISHED_WORKERS, os.cpu_count() or 1), **defaults)
    return parser


def from_arguments(arguments: argparse.Namespace) -> TrainingOptions:
    """The options in parsed ``arguments``; paths are made absolute, so that the checkpoint tells where they were."""
    values = given(arguments, TrainingOptions)
    values["data"] = tuple(path if "://" in path else str(Path(path).resolve()) for path in arguments.data)
    values["batch_size"] = arguments.batch_size or arguments.devices
    if values["batch_size"] % arguments.devices:
        raise UserError(f"--batch-size {arguments.batch_size}: cannot be shared by {arguments.devices} devices. Give a multiple")
    for key in ("lsds_setup", "log_dir"):
        if values.get(key):
            values[key] = str(Path(values[key]).resolve())
    if not 0 < arguments.learning_rate < math.inf:
        raise UserError(f"--learning-rate: {arguments.learning_rate} is no positive number. Give one, or leave it out")
    if arguments.decay and arguments.decay[0] >= arguments.decay[1]:
        begin, end = arguments.decay
        raise UserError(f"--decay {begin} {end}: ends before it begins. Name a later iteration second")
    return TrainingOptions(**values)
