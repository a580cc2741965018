"""``train.py``."""

import argparse
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsd_experiments import cli
from lsd_experiments.training import options

if TYPE_CHECKING:
    from lsd_experiments.datasets import Dataset


def main(dataset: "Dataset", targets: Callable[[Any], Any], lsds_setup: str | None = None, malis_from: int | None = None) -> None:
    """Train the network of ``train_net.json`` next to the calling script; ``targets`` adds up its target nodes.

    ``lsds_setup``: the directory, seen from the script's, of the frozen network that makes the LSDs which this one takes.
    ``malis_from``: the iteration after which affinities have the MALIS loss.

    The caller's docstring is the command's description. Exit status 1 if the loss stops being a number.
    """
    caller = inspect.stack()[1].frame
    directory = Path(caller.f_globals["__file__"]).resolve().parent
    parser = options.parser(caller.f_globals["__doc__"], dataset, lsds_setup is not None, malis_from)
    if lsds_setup is not None:
        parser.set_defaults(lsds_setup=str(directory / lsds_setup))

    def command(arguments: argparse.Namespace) -> int:
        from lsd_experiments.training.beginning import train_here

        return train_here(dataset, targets, directory, options.from_arguments(arguments), malis_from)

    cli.run(command, parser)
