"""The options of ``evaluate_skeletons.py``."""

import argparse
from collections.abc import Mapping

from lsd_experiments import cli
from lsd_experiments.errors import UserError
from lsd_experiments.evaluation.skeleton_volumes import Roi

ZYX = ("Z", "Y", "X")


def parser(description: str | None, regions: Mapping[str, Roi]) -> argparse.ArgumentParser:
    """All options; ``description``: the command's docstring; ``regions``: of a challenge, by the names of ``--mode``."""
    parser = cli.parser(description)
    parser.add_argument("segmentation_file", metavar="SEG_FILE", nargs="?", help="any format of docs/formats.md")
    parser.add_argument("skeletons", metavar="SKELETONS", nargs="?", help=".npz of the challenge, .swc, .nml or .csv")
    parser.add_argument("--segmentation-dataset", metavar="NAME", help="of SEG_FILE (default: the only one that it has)")
    parser.add_argument("--scale", type=cli.positive_number, metavar="NM", help="nm per unit of SKELETONS (default: 1)")
    parser.add_argument("--mode", choices=list(regions), help="evaluate in the challenge's region of this volume")
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
    parser.parse_args = parser.parse_intermixed_args  # type: ignore[method-assign]  # options may stand between the two files
    parser.set_defaults(regions=regions, skeleton_file=None, show_all_scores=None)
    return parser


def roi_of(options: argparse.Namespace) -> Roi | None:
    """The region that is asked for; None: all.

    :raises UserError: if only half of it is named
    """
    offset, shape = options.roi_offset, options.roi_shape
    if options.mode is not None:
        if offset is not None or shape is not None:
            raise UserError(f"--mode {options.mode} is a region: leave out --roi-offset and --roi-shape, or the mode")
        region: Roi = options.regions[options.mode]
        return region
    if (offset is None) != (shape is None):
        raise UserError("an ROI needs both --roi-offset and --roi-shape")
    return None if offset is None else (offset, shape)
