"""The options of ``evaluate_skeletons.py``; and those of the challenge's eval.py, which mean the same."""

import argparse
from collections.abc import Sequence

from lsd_experiments import cli
from lsd_experiments.errors import UserError
from lsd_experiments.evaluation.skeleton_volumes import XPRESS_ROIS, Roi

ZYX = ("Z", "Y", "X")


def parser(description: str | None) -> argparse.ArgumentParser:
    """All options; ``description`` is the command's docstring."""
    parser = cli.parser(description)
    parser.add_argument("segmentation_file", metavar="SEG_FILE", nargs="?", help="any format of docs/formats.md")
    parser.add_argument("skeletons", metavar="SKELETONS", nargs="?", help=".npz of the challenge, .swc, .nml or .csv")
    parser.add_argument("--segmentation-dataset", metavar="NAME", help="of SEG_FILE (default: the only one that it has)")
    parser.add_argument("--scale", type=cli.positive_number, metavar="NM", help="nm per unit of SKELETONS (default: 1)")
    parser.add_argument("--mode", choices=list(XPRESS_ROIS), help="evaluate in the challenge's region of this volume")
    parser.add_argument("--roi-offset", type=float, nargs=3, metavar=ZYX, help="nm, where the region begins in the world")
    parser.add_argument("--roi-shape", type=float, nargs=3, metavar=ZYX, help="nm")
    parser.add_argument("--downsampling", type=cli.positive, default=1, metavar="N", help="look at every N-th voxel only")
    parser.add_argument("--print-errors", action="store_true", help="tell where splits and merges are")
    parser.add_argument("--in-xyz", action="store_true", help="positions as x, y, z instead of z, y, x")
    parser.add_argument("--parity", action="store_true", help="score as published, quirks included: docs/evaluation.md")
    parser.add_argument("--out", metavar="PREFIX", help="write PREFIX.json, the scores, and PREFIX.csv, the errors")
    parser.add_argument("--graph", metavar="CONFIG", help="in place of SEG_FILE: score all thresholds of this pipeline's look-up "
                        "tables on its fragments")
    parser.add_argument("--mincut", action="store_true", help="with --graph: the min-cut metric besides; slow")
    parser.add_argument("--check-submission", action="store_true", help="only check that SEG_FILE can be submitted")
    parser.parse_args = parser.parse_intermixed_args  # type: ignore[method-assign]  # options may stand between the two files
    _add_published(parser.add_argument_group("the same, as eval.py of the challenge calls it"))
    return parser


def _add_published(group: "argparse._ArgumentGroup") -> None:
    group.add_argument("--segmentation_ds", dest="segmentation_dataset", metavar="NAME")
    group.add_argument("--skeleton_file", metavar="SKELETONS")
    group.add_argument("--roi_begin", dest="roi_offset", type=_numbers, metavar="Z,Y,X")
    group.add_argument("--roi_shape", type=_numbers, metavar="Z,Y,X")
    for option, name in (("--print_errors", "print_errors"), ("--print_in_xyz", "in_xyz"),
                         ("--check_submission", "check_submission")):
        group.add_argument(option, dest=name, type=_flag, metavar="0|1")
    group.add_argument("--show_all_scores", type=_flag, metavar="0|1", help="0: the leader board's number alone, as published")


def roi_of(options: argparse.Namespace) -> Roi | None:
    """The region that is asked for; None: all.

    :raises UserError: if only half of it is named
    """
    offset, shape = options.roi_offset, options.roi_shape
    if options.mode is not None:
        if offset is not None or shape is not None:
            raise UserError(f"--mode {options.mode} is a region: leave out --roi-offset and --roi-shape, or the mode")
        return XPRESS_ROIS[options.mode]
    if (offset is None) != (shape is None):
        raise UserError("an ROI needs both --roi-offset and --roi-shape")
    return None if offset is None else (offset, shape)


def _numbers(text: str) -> Sequence[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != 3:
        raise argparse.ArgumentTypeError(f"{text!r} is not three numbers with commas between")
    return numbers


def _flag(text: str) -> bool:
    if text not in ("0", "1"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither 0 nor 1")
    return text == "1"
