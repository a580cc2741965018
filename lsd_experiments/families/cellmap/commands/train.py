"""``csc train``."""

import argparse
from pathlib import Path

from lsd_experiments.families.cellmap.commands.options import Subparsers


def train(options: argparse.Namespace) -> int:
    """Train a network, or write the weights of one that was trained."""
    from lsd_experiments.networks.torch_network import require_torch

    require_torch()
    from lsd_experiments.families.cellmap import checkpoints
    from lsd_experiments.families.cellmap.configuration import read
    from lsd_experiments.families.cellmap.training.training import train

    settings = read(options.config)
    if options.export is None:
        return train(settings, options.allow_partial)
    checkpoints.export(checkpoints.read(checkpoints.find(settings, settings.load_model or "latest")), options.export)
    print(options.export)
    return 0


def add(commands: "Subparsers[argparse.ArgumentParser]") -> None:
    """Add the parser."""
    parser = commands.add_parser("train", help="train a network as a configuration says; the same command goes on")
    parser.set_defaults(command=train)
    parser.add_argument("config", type=Path, metavar="CONFIG", help="a Python file, which is run, or a TOML file")
    parser.add_argument("--allow-partial", action="store_true", help="take those of a checkpoint's tensors that fit the model")
    parser.add_argument("--export", type=Path, metavar="FILE", help="train nothing: write the weights that load_model names, as "
                        "the published toolbox reads them")
