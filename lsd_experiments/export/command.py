"""The command ``02_train/export_checkpoint.py``."""

import argparse

from lsd_experiments import checkpoints, cli
from lsd_experiments.export.exporting import SUFFIXES, export_checkpoint, target


def main(description: str) -> None:
    """Export a checkpoint, as the command line says."""
    parser = cli.parser(description)
    add = parser.add_argument
    add("source", metavar="SETUP_OR_CHECKPOINT", help="a directory of 02_train, a checkpoint's file, or its prefix")
    add("out", metavar="OUT", help=f"the file to write or to replace, {' or '.join(SUFFIXES.values())}")
    add("--format", choices=SUFFIXES, help="adds its suffix to OUT (default: OUT's suffix says the format)")
    add("--checkpoint", type=cli.checkpoint, metavar="N|best", help="the checkpoint's iteration, or best (default: the newest)")
    add(
        "--input-shape",
        type=cli.positive,
        nargs=3,
        metavar=("Z", "Y", "X"),
        help="ONNX: the only input shape, in voxels (default: any that is legal)",
    )
    add("--plain-weights", action="store_true", help="those of the last iteration, though the training kept averages")
    cli.run(_command, parser)


def _command(options: argparse.Namespace) -> None:
    path, format = target(options.out, options.format)
    checkpoint = checkpoints.find_named(options.source, options.checkpoint)
    export_checkpoint(checkpoint, path, format, options.input_shape, options.plain_weights)
    print(path)
