"""The commands of a setup directory: ``predict_scan.py`` and ``predict.py``."""

import argparse
import inspect
import os
from pathlib import Path

from lsd_experiments import cli
from lsd_experiments.prediction.plan import PredictionSettings
from lsd_experiments.training.options import PRECISIONS, positive

PUBLISHED_RAW = "gt_z255-383_y1407-1663_x1535-1791.zarr"  # the zebrafinch volume of the published predict_scan.py


def scan_main() -> None:
    """Predict a volume in this process; by default the part of raw whose context is raw too, as published."""
    setup, description = _caller()
    parser = _parser(description, setup)
    parser.add_argument("--pad", action="store_true", help="predict all of raw; what its context lacks is 0")

    def command(arguments: argparse.Namespace) -> None:
        from lsd_experiments.prediction.blockwise import predict_scan

        datasets = predict_scan(_settings(arguments, setup, shrink=not arguments.pad), arguments.overwrite)
        print(f"{arguments.output}: {', '.join(datasets)}")

    cli.run(command, parser)


def blockwise_main() -> None:
    """Predict all of a volume by daisy workers."""
    setup, description = _caller()
    parser = _parser(description, setup)
    parser.add_argument("--num-workers", type=positive, default=1, help="processes that predict (default: 1)")

    def command(arguments: argparse.Namespace) -> None:
        from lsd_experiments.prediction.blockwise import predict_blockwise

        datasets = predict_blockwise(_settings(arguments, setup, shrink=False), arguments.num_workers, arguments.overwrite)
        print(f"{arguments.output}: {', '.join(datasets)}")

    cli.run(command, parser)


def _caller() -> tuple[Path, str]:
    """The directory and the docstring of the script that called a command."""
    names = inspect.stack()[2].frame.f_globals
    return Path(names["__file__"]).resolve().parent, names["__doc__"]


def _parser(description: str, setup: Path) -> argparse.ArgumentParser:
    parser = cli.parser(description)
    add = parser.add_argument
    raw = setup.parents[1].parent / "01_data" / "funke" / setup.parent.name / "training" / PUBLISHED_RAW
    add("--checkpoint", type=positive, metavar="N", help="the checkpoint's iteration (default: the newest)")
    add(
        "--raw-file",
        default=str(raw),
        metavar="CONTAINER",
        help="zarr, N5, HDF5, TIFF, s3://... or crop.json (default: as published)",
    )
    add("--raw-dataset", default="volumes/raw", help="default: volumes/raw")
    add(
        "--roi-offset",
        type=float,
        nargs=3,
        metavar=("Z", "Y", "X"),
        help="nm: where to predict; without it all that there is",
    )
    add("--roi-shape", type=float, nargs=3, metavar=("Z", "Y", "X"), help="nm: how much")
    add(
        "--output",
        default="test_prediction.zarr",
        metavar="ZARR",
        help="gets volumes/affs, volumes/lsds (default: test_prediction.zarr)",
    )
    add(
        "--input-shape",
        type=positive,
        nargs=3,
        metavar=("Z", "Y", "X"),
        help="voxels of a block's input, instead of config.json's",
    )
    add("--precision", choices=PRECISIONS, default="float32", help="default: float32")
    add("--overwrite", action="store_true", help="make the output anew if it was made with other parameters")
    return parser


def _settings(arguments: argparse.Namespace, setup: Path, shrink: bool) -> PredictionSettings:
    raw_file = arguments.raw_file
    return PredictionSettings(
        setup=os.path.relpath(setup),
        raw_file=raw_file if "://" in raw_file else str(Path(raw_file).absolute()),
        raw_dataset=arguments.raw_dataset,
        out_file=arguments.output,
        iteration=arguments.checkpoint,
        roi_offset=arguments.roi_offset and tuple(arguments.roi_offset),
        roi_shape=arguments.roi_shape and tuple(arguments.roi_shape),
        shrink=shrink,
        input_shape=arguments.input_shape and tuple(arguments.input_shape),
        precision=arguments.precision,
    )
