"""``csc get-counts``."""

import argparse

from lsd_experiments.families.cellmap.commands.options import Subparsers, add_layout, layout, nothing


def get_counts(options: argparse.Namespace) -> None:
    """In how many crops of each dataset each class is annotated."""
    from lsd_experiments.families.cellmap.split import counts

    found = counts(layout(options), options.classes)
    if not found:
        raise nothing(options)
    for dataset, of_dataset in found.items():
        print(f"{dataset}: " + ", ".join(f"{label} {number}" for label, number in of_dataset.items()))


def add(commands: "Subparsers[argparse.ArgumentParser]") -> None:
    """Add the parser."""
    parser = commands.add_parser("get-counts", help="in how many crops each class is annotated")
    parser.set_defaults(command=get_counts)
    add_layout(parser)
