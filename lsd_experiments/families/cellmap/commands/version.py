"""``csc version``."""

import argparse

from lsd_experiments.families.cellmap.commands.options import Subparsers


def version(options: argparse.Namespace) -> None:
    """Print the version."""
    import lsd_experiments

    print(lsd_experiments.__version__)


def add(commands: "Subparsers[argparse.ArgumentParser]") -> None:
    """Add the parser."""
    commands.add_parser("version", help="print the version").set_defaults(command=version)
