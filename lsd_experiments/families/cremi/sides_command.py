"""The command behind ``02_train/cremi/partners.py``."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from lsd_experiments import cli
from lsd_experiments.errors import UserError

if TYPE_CHECKING:
    from lsd_experiments.arrays import Volume


def main(description: str | None) -> None:
    """Run the command."""
    cli.run(run, parser(description))


def run(options: argparse.Namespace) -> None:
    """Find the partners, and write them."""
    from lsd_experiments.families.cremi.files import CremiFile, check_place, write_cremi
    from lsd_experiments.families.cremi.sides import find_partners

    check_place(options.out, options.overwrite)
    clefts, segments, polarity = inputs(options)
    _check_kinds(clefts, segments)
    found = find_partners(clefts, segments, polarity, options.reach, options.share)
    write_cremi(options.out, CremiFile(annotations=found), options.overwrite)
    print(f"{options.out}: {len(found.partners)} pairs")


def _check_kinds(clefts: "Volume", segments: "Volume") -> None:
    """:raises UserError: if they are swapped, by the names of their datasets"""
    for volume, other, kind in ((clefts, "neuron_ids", "CLEFTS"), (segments, "clefts", "SEGMENTS")):
        if str(volume.dataset).rsplit("/", 1)[-1] == other:
            raise UserError(f"{volume.name}: {other} are named as {kind}. Name clefts first, and then segments")


def inputs(options: argparse.Namespace) -> "tuple[Volume, Volume, Volume | None]":
    """Clefts, segments, and the map of polarity if one is named."""
    from lsd_experiments.arrays import check_labels, open_volume

    clefts = open_volume(options.clefts, options.clefts_dataset)
    segments = open_volume(options.segments, options.segments_dataset)
    check_labels(clefts)
    check_labels(segments)
    return clefts, segments, None if options.polarity is None else open_volume(*options.polarity)


def _share(text: str) -> float:
    """For argparse: above 0, and at most 1."""
    number = cli.positive_number(text)
    if number > 1:
        raise argparse.ArgumentTypeError(f"{text} is above 1, which is all of the contact")
    return number


def parser(description: str | None) -> argparse.ArgumentParser:
    """All options; ``description`` is the command's docstring."""
    parser = cli.parser(description)
    add = parser.add_argument
    add("clefts", metavar="CLEFTS", help="container of numbered clefts, like volumes/components of the pipeline")
    add("clefts_dataset", metavar="DATASET")
    add("segments", metavar="SEGMENTS", help="container of neurons on the same voxels")
    add("segments_dataset", metavar="DATASET")
    add("out", metavar="OUT.hdf", type=Path, help="a file of CREMI with the pairs")
    add("--polarity", nargs=2, metavar=("CONTAINER", "DATASET"), help="a map that is larger on the presynaptic side")
    add("--reach", type=cli.positive_number, default=40.0, metavar="NM", help="how near a segment must be (default: %(default)g)")
    add("--share", type=_share, default=0.15, metavar="PART",
        help="of all contact, that a segment must have (default: %(default)g)")
    add("--overwrite", action="store_true", help="replace it if it is there")
    return parser
