"""The commands of a setup directory: ``predict_scan.py`` and ``predict.py``."""

import argparse
import inspect
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsd_experiments import cli
from lsd_experiments.cli import positive
from lsd_experiments.prediction.settings import RAW, PredictionSettings
from lsd_experiments.raw_range import parse
from lsd_experiments.training.options import PRECISIONS

if TYPE_CHECKING:
    from lsd_experiments.prediction.plan import Plan


def scan_main() -> None:
    """Predict a volume in this process; by default the part of raw whose context is raw too, as published."""
    setup, description = _caller()
    parser = _parser(description)
    parser.add_argument("--pad", action="store_true", help="predict all of raw; what its context lacks is 0")

    def command(arguments: argparse.Namespace) -> None:
        from lsd_experiments.prediction.blockwise import predict_scan
        from lsd_experiments.prediction.plan import make_plan

        plan = make_plan(_settings(arguments, setup, shrink=not arguments.pad))
        _report(plan, predict_scan(plan, arguments.overwrite))

    cli.run(command, parser)


def blockwise_main() -> None:
    """Predict all of a volume by daisy workers."""
    setup, description = _caller()
    parser = _parser(description)
    parser.add_argument("--num-workers", type=positive, default=1, help="processes that predict (default: 1)")

    def command(arguments: argparse.Namespace) -> int:
        from lsd_experiments.blockwise import BlocksFailedError, Workers
        from lsd_experiments.prediction.blockwise import predict_blockwise
        from lsd_experiments.prediction.plan import make_plan

        plan = make_plan(_settings(arguments, setup, shrink=False))
        try:
            _report(plan, predict_blockwise(plan, Workers(num_workers=arguments.num_workers), arguments.overwrite))
        except BlocksFailedError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        return 0

    cli.run(command, parser)


def _caller() -> tuple[Path, str]:
    """The directory and the docstring of the script that called a command."""
    names = inspect.stack()[2].frame.f_globals
    return Path(names["__file__"]).resolve().parent, names["__doc__"]


def _parser(description: str) -> argparse.ArgumentParser:
    parser = cli.parser(description)
    triple: dict[str, Any] = {"nargs": 3, "metavar": ("Z", "Y", "X")}
    add = parser.add_argument
    add("--raw-file", metavar="CONTAINER", help="zarr, N5, HDF5, TIFF, s3://... or crop.json (default: dataset.toml's predicted)")
    add("--raw-dataset", metavar="DATASET", help=f"default: of that file predicted_raw, else {RAW}; a TIFF has none")
    cli.add_raw_range(parser, "as in training; of another type of raw, what the volume holds")
    add("--roi-offset", type=float, **triple, help="nm: where to predict (default: all that there is)")
    add("--roi-shape", type=float, **triple, help="nm: how much")
    add("--checkpoint", type=positive, metavar="N", help="the checkpoint's iteration (default: the newest)")
    add("--input-shape", type=positive, **triple, help="voxels that a block reads (default: config.json's)")
    add("--seamless", action="store_true", help="blocks that leave no seams: results do not depend on where blocks lie")
    add("--precision", choices=PRECISIONS, default="float32", help="default: float32")
    lsds = parser.add_argument_group("networks that take LSDs (aclsd, acrlsd)").add_argument
    lsds("--lsds-file", metavar="CONTAINER", help="predicted LSDs (default: ../lsd/test_prediction.zarr)")
    lsds("--lsds-dataset", metavar="DATASET", help="default: volumes/lsds")
    lsds("--lsds-on-the-fly", action="store_true", help="have the network of ../lsd make them of raw, in the same pass")
    lsds("--lsds-setup", metavar="DIRECTORY", help="the directory of the network that makes LSDs (default: ../lsd)")
    lsds("--lsds-checkpoint", type=positive, metavar="N", help="its iteration (default: the one trained with, or the newest)")
    add("--output", default="test_prediction.zarr", metavar="ZARR", help="default: test_prediction.zarr")
    add("--overwrite", action="store_true", help="make the output anew, also if it was made with other parameters")
    return parser


def _settings(arguments: argparse.Namespace, setup: Path, shrink: bool) -> PredictionSettings:
    return PredictionSettings(
        setup=str(setup),
        raw_file=arguments.raw_file,
        out_file=arguments.output,
        raw_dataset=arguments.raw_dataset,
        raw_range=parse(arguments.raw_range) if arguments.raw_range else None,
        iteration=arguments.checkpoint,
        roi_offset=arguments.roi_offset and tuple(arguments.roi_offset),
        roi_shape=arguments.roi_shape and tuple(arguments.roi_shape),
        shrink=shrink,
        input_shape=arguments.input_shape and tuple(arguments.input_shape),
        precision=arguments.precision,
        seamless=arguments.seamless,
        lsds_file=arguments.lsds_file,
        lsds_dataset=arguments.lsds_dataset,
        lsds_on_the_fly=arguments.lsds_on_the_fly,
        lsds_setup=arguments.lsds_setup,
        lsds_iteration=arguments.lsds_checkpoint,
    )


def _report(plan: "Plan", predicted: bool) -> None:
    if not predicted:
        print("nothing to do: it was predicted before, with the same parameters", file=sys.stderr)
    print(f"{plan.settings.out_file}: {', '.join(output.dataset for output in plan.outputs.values())}")
