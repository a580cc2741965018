"""The command csc: the CellMap segmentation challenge, from the split to a checked submission. See docs/cellmap.md."""

import argparse
from collections.abc import Sequence
from importlib import import_module

from lsd_experiments import cli

# The modules of commands/, in the order of work.
SUBCOMMANDS = (
    "fetch_data",
    "make_datasplit",
    "get_counts",
    "train",
    "predict",
    "process",
    "visualize",
    "pack_results",
    "validate",
    "evaluate",
    "batch_eval",
    "version",
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command with ``arguments`` (default: the command line's)."""
    cli.run(lambda options: options.command(options), _parser(), arguments)


def _parser() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__)
    parser.prog = "csc"
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name in SUBCOMMANDS:
        import_module(f"lsd_experiments.families.cellmap.commands.{name}").add(commands)
    for command in commands.choices.values():
        command.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)  # here, too
    return parser
