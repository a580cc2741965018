"""``csc validate``."""

import argparse

from lsd_experiments.families.cellmap.commands.options import Subparsers, add_manifest


def validate(options: argparse.Namespace) -> int:
    """Print what is wrong with a submission, or Pass."""
    from lsd_experiments.families.cellmap.manifest import read_manifest
    from lsd_experiments.families.cellmap.validating import validate

    findings = validate(options.submission, read_manifest(options.manifest))
    print("\n".join(findings) or "Pass")
    return 1 if findings else 0


def add(commands: "Subparsers[argparse.ArgumentParser]") -> None:
    """Add the parser."""
    parser = commands.add_parser("validate", help="say what is wrong with a submission, or Pass")
    parser.set_defaults(command=validate)
    parser.add_argument("submission", metavar="SUBMISSION", help="a zarr directory, or a zip file of one")
    add_manifest(parser)
