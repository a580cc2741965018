"""The command behind ``02_train/cremi/submission.py``."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from lsd_experiments import cli
from lsd_experiments.errors import UserError
from lsd_experiments.families.cremi.evaluate_command import an_id

if TYPE_CHECKING:
    from lsd_experiments.arrays import Volume

VOLUMES = ("cropped", "padded")


def main(description: str | None) -> None:
    """Run the command."""
    cli.run(lambda options: options.command(options), _parser(description))


def make(options: argparse.Namespace) -> int:
    """Make the submission, and check it."""
    from lsd_experiments.families.cremi.submission import make_submission

    if options.background is not None and options.task != "clefts":
        raise UserError(f"--background: is of --task clefts, not of {options.task}. Leave it out")
    labels = labels_of(options)
    make_submission(labels, options.out, options.task, options.background, options.volume, overwrite=options.overwrite)
    print(options.out)
    return _print_faults(options.out, options.volume)


def labels_of(options: argparse.Namespace) -> "Volume":
    """What is submitted."""
    from lsd_experiments.arrays import open_volume

    return open_volume(options.labels, options.dataset)


def check(options: argparse.Namespace) -> int:
    """Print what is wrong."""
    return _print_faults(options.submission, options.volume)


def _print_faults(path: Path, volume: str | None) -> int:
    from lsd_experiments.families.cremi.submission import check_submission

    faults = check_submission(path, volume)
    print("\n".join(faults) or "Pass")
    return 1 if faults else 0


def _parser(description: str | None) -> argparse.ArgumentParser:
    parser = cli.parser(description)
    commands = parser.add_subparsers(required=True, metavar="make | check")
    making = commands.add_parser("make", help="make a submission of labels")
    making.set_defaults(command=make)
    making.add_argument("labels", metavar="LABELS", help="container of clefts or neurons, voxels of 40 4 4 nm")
    making.add_argument("dataset", metavar="DATASET", help="like volumes/components")
    making.add_argument("out", metavar="OUT.hdf", type=Path, help="what is made")
    making.add_argument("--task", choices=("clefts", "neuron_ids"), default="clefts", help="default: %(default)s")
    making.add_argument("--background", type=an_id, metavar="ID",
                        help="of clefts: what is none (default: 2^64 - 1 if that is there, else 0)")
    making.add_argument("--overwrite", action="store_true", help="replace it if it is there")
    checking = commands.add_parser("check", help="say what is wrong with a submission, or Pass")
    checking.set_defaults(command=check)
    checking.add_argument("submission", metavar="SUBMISSION.hdf", type=Path)
    for command, default in ((making, "cropped"), (checking, None)):
        command.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)  # here, too
        command.add_argument("--volume", choices=VOLUMES, default=default,
                             help=f"of which of the challenge's files (default: {default or 'either'})")
    return parser
