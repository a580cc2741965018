"""``train.py``."""

import argparse
import inspect
from pathlib import Path

from lsd_experiments import cli
from lsd_experiments.training import options
from lsd_experiments.training.experiment import Experiment


def main(experiment: Experiment) -> None:
    """Train ``experiment`` in the directory of the calling script.

    The caller's docstring is the command's description. Exit status 1 if the loss stops being a number.
    """
    caller = inspect.stack()[1].frame
    directory = Path(caller.f_globals["__file__"]).resolve().parent
    parser = options.parser(caller.f_globals["__doc__"], experiment)
    if experiment.first_network is not None:
        parser.set_defaults(lsds_setup=str(directory / experiment.first_network.directory))

    def command(arguments: argparse.Namespace) -> int:
        from lsd_experiments.training.preparing import train_here

        return train_here(experiment, directory, options.from_arguments(arguments))

    cli.run(command, parser)
