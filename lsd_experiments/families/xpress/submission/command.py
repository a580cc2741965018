"""The command behind 03_predict/submission.py."""

import argparse
import sys
from pathlib import Path

from lsd_experiments import cli
from lsd_experiments.errors import UserError

MODES = ("test", "validation")


def main(description: str | None) -> None:
    """Run the command."""
    cli.run(lambda options: options.command(options), _parser(description))


def make(options: argparse.Namespace) -> int:
    """Make the submission, and check it."""
    from lsd_experiments.arrays import open_volume
    from lsd_experiments.families.xpress.submission.checking import print_faults
    from lsd_experiments.families.xpress.submission.making import NAME, make_submission, zip_submission

    roi = _roi(options)
    if options.out.name != NAME:
        raise UserError(f"{options.out}: the challenge takes a file of the name {NAME} only. Name it so")
    make_submission(open_volume(options.segmentation, options.dataset), options.out, roi, options.overwrite)
    print(options.out)
    status = print_faults(options.out, roi)
    if options.zip and not status:
        print(zip_submission(options.out))
    elif (before := options.out.with_suffix(".zip")).exists():
        print(f"warning: {before} is of a submission before this one. Remove it, or make it anew with --zip", file=sys.stderr)
    return status


def check(options: argparse.Namespace) -> int:
    """Print what is wrong."""
    from lsd_experiments.families.xpress.submission.checking import print_faults

    return print_faults(options.submission, _roi(options))


def _roi(options: argparse.Namespace) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The region that is asked for.

    :raises UserError: if only half of it is named
    """
    from lsd_experiments.families.xpress.regions import XPRESS_ROIS

    if (options.roi_offset is None) != (options.roi_shape is None):
        raise UserError("an ROI needs both --roi-offset and --roi-shape")
    offset, shape = XPRESS_ROIS[options.mode] if options.roi_offset is None else (options.roi_offset, options.roi_shape)
    return tuple(offset), tuple(shape)


def _parser(description: str | None) -> argparse.ArgumentParser:
    parser = cli.parser(description)
    commands = parser.add_subparsers(required=True, metavar="make | check")
    making = commands.add_parser("make", help="make a submission of a segmentation")
    making.set_defaults(command=make)
    making.add_argument("segmentation", metavar="SEG", help="container of the segmentation, voxels of 33 or 99 nm")
    making.add_argument("dataset", metavar="DATASET", help="like volumes/segmentation_55")
    making.add_argument("out", nargs="?", type=Path, default=Path("submission.h5"), help="what is made (default: %(default)s)")
    making.add_argument("--zip", action="store_true", help="make submission.zip beside it, too: what is uploaded")
    making.add_argument("--overwrite", action="store_true", help="replace it if it is there")
    checking = commands.add_parser("check", help="say what is wrong with a submission, or Pass")
    checking.set_defaults(command=check)
    checking.add_argument("submission", metavar="submission.h5")
    for command in (making, checking):
        command.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)  # here, too
        command.add_argument("--mode", choices=MODES, default="test", help="of which volume it is (default: %(default)s)")
        command.add_argument("--roi-offset", type=float, nargs=3, metavar=("Z", "Y", "X"),
                             help="nm: another region, of volumes that are not the challenge's")
        command.add_argument("--roi-shape", type=float, nargs=3, metavar=("Z", "Y", "X"), help="nm, multiples of 99")
    return parser
