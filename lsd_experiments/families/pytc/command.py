"""The command behind ``02_train/snemi3d/main.py``."""

import argparse
import sys
from pathlib import Path

from lsd_experiments import cli
from lsd_experiments.errors import UserError
from lsd_experiments.families.pytc.configuration import Config, load
from lsd_experiments.networks.torch_network import INSTALL


def main(description: str | None) -> None:
    """Run the command."""
    cli.run(_run, _parser(description))


def _parser(description: str | None) -> argparse.ArgumentParser:
    parser = cli.parser(description)
    parser.add_argument("--config-base", type=Path, metavar="FILE", help="a YAML file of what several configurations share")
    parser.add_argument("--config-file", type=Path, metavar="FILE", help="a YAML file, merged over it")
    parser.add_argument("--checkpoint", type=Path, metavar="FILE", help="a .pth.tar: weights of the inference; in training, "
                        "where to go on, or with SOLVER.ITERATION_RESTART True weights to begin with")
    parser.add_argument("--allow-partial", action="store_true", help="take those of the checkpoint's tensors that fit")
    parser.add_argument("--inference", action="store_true", help="predict INFERENCE.IMAGE_NAME, in place of training")
    parser.add_argument("--distributed", action="store_true", help="as one of the processes that torchrun starts")
    parser.add_argument("--local_rank", "--local-rank", type=int, metavar="N", help="which of this machine's, where LOCAL_RANK "
                        "does not say it")
    training, inference = parser.add_argument_group("training"), parser.add_argument_group("inference")
    training.add_argument("--seed", type=cli.not_negative, metavar="N", help="of weights and samples (default: that of the "
                          "checkpoint, else 0)")
    inference.add_argument("--parity", action="store_true", help="do with turned images as published, which is wrong for "
                           "affinities")
    inference.add_argument("--num-workers", type=cli.positive, metavar="N", help="processes that predict blocks of a .zarr, "
                           "which goes on where it was interrupted (default: this one predicts, all at once)")
    inference.add_argument("--overwrite", action="store_true", help="replace files that are there")
    parser.add_argument("pairs", nargs="*", metavar="KEY VALUE", help="as SOLVER.BASE_LR 0.01: over both files")
    parser.parse_args = parser.parse_intermixed_args  # type: ignore[method-assign]  # pairs stand anywhere
    return parser


def _run(options: argparse.Namespace) -> int:
    _check(options)
    config = load(options.config_file, options.config_base, options.pairs, options.inference, options.distributed)
    check_installed()
    if options.inference:
        return _infer(options, config)
    from lsd_experiments.families.pytc.training.training import train

    return train(config, options.checkpoint, options.allow_partial, options.seed, options.local_rank)


def _check(options: argparse.Namespace) -> None:
    if options.config_file is None and options.config_base is None:
        raise UserError("--config-file: names no configuration. Name one, like configs/SNEMI-Affinity-UNet.yaml, with "
                        "--config-base configs/SNEMI-Base.yaml")
    if options.inference and options.seed is not None:
        raise UserError("--seed: is for training; nothing is drawn in an inference. Leave it out")
    if options.inference and options.distributed:
        raise UserError("--distributed: is for training; an inference takes --num-workers. Leave it out")
    for name in ("parity", "overwrite", "num_workers"):
        if getattr(options, name) and not options.inference:
            raise UserError(f"--{name.replace('_', '-')}: is for --inference. Leave it out")


def check_installed() -> None:
    """:raises UserError: if PyTorch is not installed"""
    try:
        import torch  # noqa: F401
    except ImportError as error:
        reason = "PyTorch is not installed, which training and inference here need"
        raise UserError(f"{reason}. In the repository: {INSTALL}") from error


def _infer(options: argparse.Namespace, config: Config) -> int:
    if options.checkpoint is None:
        raise UserError("--inference: needs the weights of a training: --checkpoint outputs/.../checkpoint_100000.pth.tar")
    if options.num_workers:
        return _infer_blockwise(options, config)
    return infer_whole(config, options.checkpoint, options.parity, options.allow_partial, options.overwrite)


def infer_whole(config: Config, checkpoint: Path, parity: bool = False, allow_partial: bool = False,
                overwrite: bool = False) -> int:
    """Predict in this process, with a bar, and print the files; the exit status. See :func:`~.inference.inferring.infer`."""
    from tqdm import tqdm

    from lsd_experiments.families.pytc.inference.inferring import infer

    with tqdm(unit="patch", desc="inference", smoothing=0.05, delay=1) as bar:  # not before a mistake that is found at once
        files = infer(config, checkpoint, parity, allow_partial, overwrite, bar.update, bar.reset)
    for file in files:
        print(file)
    return 0


def _infer_blockwise(options: argparse.Namespace, config: Config) -> int:
    from lsd_experiments.blockwise import BlocksFailedError, Workers
    from lsd_experiments.families.pytc.inference.blockwise import infer_blockwise

    workers = Workers(num_workers=options.num_workers)
    try:
        files = infer_blockwise(config, options.checkpoint, workers, options.parity, options.allow_partial, options.overwrite)
    except BlocksFailedError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for file in files:
        print(file)
    return 0
