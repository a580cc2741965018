"""What ``evaluate_skeletons.py`` has of the challenge's eval.py: regions, the check of a submission, names of options."""

import argparse
from collections.abc import Sequence

from lsd_experiments.errors import UserError
from lsd_experiments.evaluation import skeleton_command, skeleton_options
from lsd_experiments.families.xpress.regions import XPRESS_ROIS


def parser(description: str | None) -> argparse.ArgumentParser:
    """All options; ``description`` is the command's docstring."""
    parser = skeleton_options.parser(description, XPRESS_ROIS)
    parser.add_argument("--check-submission", action="store_true", help="only check that SEG_FILE can be submitted")
    _add_published(parser.add_argument_group("the same, as eval.py of the challenge calls it"))
    return parser


def main(options: argparse.Namespace) -> int:
    """Do what the options say; the exit status."""
    if not options.check_submission:
        return skeleton_command.main(options)
    from lsd_experiments.families.xpress.submission.checking import print_faults

    roi = skeleton_options.roi_of(options)
    if options.graph is not None:
        raise UserError("--check-submission is for SEG_FILE, --graph evaluates a pipeline. Leave one of them out")
    if options.segmentation_file is None:
        raise UserError("no segmentation to check. Name SEG_FILE")
    return print_faults(options.segmentation_file, roi or XPRESS_ROIS["test"])


def _add_published(group: "argparse._ArgumentGroup") -> None:
    group.add_argument("--segmentation_ds", dest="segmentation_dataset", metavar="NAME")
    group.add_argument("--skeleton_file", metavar="SKELETONS")
    group.add_argument("--roi_begin", dest="roi_offset", type=_numbers, metavar="Z,Y,X")
    group.add_argument("--roi_shape", type=_numbers, metavar="Z,Y,X")
    for option, name in (("--print_errors", "print_errors"), ("--print_in_xyz", "in_xyz"),
                         ("--check_submission", "check_submission")):
        group.add_argument(option, dest=name, type=_flag, metavar="0|1")
    group.add_argument("--show_all_scores", type=_flag, metavar="0|1", help="0: the leader board's number alone, as published")


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
