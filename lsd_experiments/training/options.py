"""What a training is asked to do, on the command line of ``train.py``."""

import argparse
import dataclasses
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsd_experiments import cli, raw_range
from lsd_experiments.cli import not_negative, positive
from lsd_experiments.errors import UserError
from lsd_experiments.networks.network import Network, Shape
from lsd_experiments.raw_range import Setting

if TYPE_CHECKING:
    from lsd_experiments.training.experiment import Experiment

PUBLISHED_WORKERS = 10
PRECISIONS = ("float32", "bfloat16")  # of prediction
TRAINING_PRECISIONS = (*PRECISIONS, "float16")


@dataclass(frozen=True)
class TrainingOptions:
    """The options of ``train.py``; its help says what they mean."""

    iterations: int
    data: tuple[str, ...] = ()
    batch_size: int = 1
    num_workers: int = 1
    save_every: int = 10_000
    snapshot_every: int = 1_000
    seed: int | None = None
    learning_rate: float = 0.5e-4
    log_dir: str | None = None
    precision: str = "float32"
    num_fmaps: int | None = None
    fmap_inc_factor: int | None = None
    input_shape: Shape | None = None
    lsds_setup: str | None = None
    lsds_checkpoint: int | None = None
    malis_from: int | None = None
    devices: int = 1
    parity: bool | None = None
    raw_range: Setting | None = None
    force: bool = False

    def record(self) -> dict[str, Any]:
        """The options as JSON values."""
        return dataclasses.asdict(self)

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
    save, snapshot, rate = experiment.save_every, experiment.snapshot_every, experiment.optimizer.learning_rate
    parser = cli.parser(description)
    add = parser.add_argument
    add(
        "iterations", type=positive, metavar="N", help="train until iteration N, from the newest checkpoint that exists"
    )
    add(
        "--data",
        nargs="+",
        metavar="CONTAINER",
        default=[],
        help="training volumes (zarr, HDF5, N5, or a crop.json); default: the dataset's own, in 01_data",
    )
    cli.add_raw_range(parser, "uint8: its type's; other types: what the volumes hold; a checkpoint's own where one goes on")
    add("--force", action="store_true", help="train on labels that show no boundary, too")
    add("--batch-size", type=positive, help="samples per batch (default: one for each device)")
    add("--devices", type=positive, default=1, metavar="N", help="train on N GPUs, each with its share of a batch (default: 1)")
    add(
        "--num-workers",
        type=not_negative,
        default=min(PUBLISHED_WORKERS, os.cpu_count() or 1),
        help=f"processes that make batches; 0: none (default: {PUBLISHED_WORKERS}, or as many as there are cores)",
    )
    add("--save-every", type=positive, default=save, help=f"iterations from checkpoint to checkpoint (default: {save})")
    add("--snapshot-every", type=positive, default=snapshot, help=f"iterations from snapshot to snapshot (default: {snapshot})")
    add("--seed", type=not_negative, help="of weights and batches (default: a random one, kept in the checkpoint)")
    add("--learning-rate", type=float, default=rate, help=f"of Adam (default: {rate:g}, as published)")
    add("--log-dir", metavar="DIRECTORY", help="where TensorBoard's files go (default: log, beside train.py)")
    add(
        "--precision",
        choices=TRAINING_PRECISIONS,
        default="float32",
        help="bfloat16, or float16 with a scaled loss, computes convolutions in it; weights stay float32 (default: float32)",
    )
    add("--num-fmaps", type=positive, help="feature maps at level 0, instead of mknet.py's")
    add("--fmap-inc-factor", type=positive, help="by which they grow per level, instead of mknet.py's")
    add("--input-shape", type=positive, nargs=3, metavar=("Z", "Y", "X"), help="voxels, instead of mknet.py's")
    text = "make targets as published: docs/differences.md (default: as before, else corrected)"
    add("--parity", action=argparse.BooleanOptionalAction, help=text)
    if experiment.first_network is not None:
        add("--lsds-setup", metavar="DIRECTORY", help="of the trained network that makes the LSDs (default: ../lsd)")
        add("--lsds-checkpoint", type=positive, metavar="N", help="its checkpoint's iteration (default: the newest)")
    if (malis_from := experiment.malis_from) is not None:
        text = f"the last iteration of the weighted squared error; MALIS comes after it (default: {malis_from}, or as before)"
        add("--malis-from", type=not_negative, metavar="N", help=text)
    return parser


def from_arguments(arguments: argparse.Namespace) -> TrainingOptions:
    """The options in parsed ``arguments``; paths are made absolute, so that the checkpoint tells where they were."""
    names = {field.name for field in dataclasses.fields(TrainingOptions)}
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in vars(arguments).items()
        if key in names
    }
    values["data"] = tuple(path if "://" in path else str(Path(path).resolve()) for path in arguments.data)
    values["raw_range"] = raw_range.parse(arguments.raw_range) if arguments.raw_range else None
    values["input_shape"] = values["input_shape"] or None
    values["batch_size"] = arguments.batch_size or arguments.devices
    if values["batch_size"] % arguments.devices:
        raise UserError(f"--batch-size {arguments.batch_size}: cannot be shared by {arguments.devices} devices. Give a multiple")
    if values.get("lsds_setup"):
        values["lsds_setup"] = str(Path(arguments.lsds_setup).resolve())
    values["log_dir"] = arguments.log_dir and str(Path(arguments.log_dir).resolve())
    if not 0 < arguments.learning_rate < math.inf:
        raise UserError(f"--learning-rate: {arguments.learning_rate} is no positive number. Give one, or leave it out")
    return TrainingOptions(**values)
