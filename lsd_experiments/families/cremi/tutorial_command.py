"""The commands behind ``02_train/cremi/train.py`` and ``test.py``."""

import argparse
import os

from lsd_experiments import cli
from lsd_experiments.errors import UserError, nearest
from lsd_experiments.families.cremi.tutorial import CLEFTS, TASKS, inference_config, training_config, weights_of

ARCHITECTURES = ("unetv0",)
OLD = ("unetv1", "unetv2", "unetv3", "fpn")
YES, NO = ("true", "yes", "1"), ("false", "no", "0", "")
PROCESSES = "WORLD_SIZE"  # torchrun sets it


def train(description: str | None) -> None:
    """Run ``train.py``."""
    parser = _parser(description, "result/train/")
    add = parser.add_argument
    add("-ln", "--seg-name", default="seg-groundtruth2-malis.h5", metavar="FILES", help="labels, as many as images")
    add("-lr", type=cli.positive_number, default=1e-4, metavar="RATE", help="learning rate (default: %(default)s)")
    add("-lt", "--loss", type=int, default=1, metavar="N", help="1, the cross entropy")
    add("-ft", "--finetune", type=_truth, default=False, metavar="True|False", help="with -lm: begin with weights of -pm")
    add("--iteration-total", type=cli.positive, default=1000, metavar="N", help="default: %(default)s")
    add("--iteration-save", type=cli.positive, default=100, metavar="N", help="between checkpoints (default: %(default)s)")
    cli.run(_train, parser)


def test(description: str | None) -> None:
    """Run ``test.py``."""
    parser = _parser(description, "result/test/")
    parser.add_argument("--overwrite", action="store_true", help="replace files that are there")
    cli.run(_test, parser)


def _train(options: argparse.Namespace) -> int:
    from lsd_experiments.families.pytc.command import check_installed

    checkpoint = weights_of(options)
    if options.finetune and checkpoint is None:
        raise UserError("-ft True: needs weights to begin with: -lm True -pm FILE")
    config = training_config(options, distributed=PROCESSES in os.environ)
    check_installed()
    from lsd_experiments.families.pytc.training.training import train as run

    return run(config, checkpoint)


def _test(options: argparse.Namespace) -> int:
    from lsd_experiments.families.pytc.command import check_installed, infer_whole

    checkpoint = weights_of(options)
    if checkpoint is None:
        raise UserError("-lm: a prediction needs the weights of a training: -lm True -pm FILE")
    config = inference_config(options)
    check_installed()
    return infer_whole(config, checkpoint, overwrite=options.overwrite)


def _parser(description: str | None, output: str) -> argparse.ArgumentParser:
    """What both take; a mistake is one line."""
    parser = cli.parser(description)
    parser.allow_abbrev = False
    parser.print_usage = lambda file=None: None  # type: ignore[method-assign]
    add = parser.add_argument
    add("-t", "--train", default=".", metavar="FOLDERS", help="where files are: one folder, or as many as files, with @ between")
    add("-dn", "--img-name", default="im_uint8.h5", metavar="FILES", help="images, with @ between (default: %(default)s)")
    add("-o", "--output", default=output, metavar="DIR", help="default: %(default)s")
    add("-mi", "--model-input", type=_size, default="31,204,204", metavar="Z,Y,X", help="of a sample (default: %(default)s)")
    add("-ac", "--architecture", type=_architecture, required=True, metavar="NAME", help="unetv0")
    add("-lm", "--load-model", type=_truth, metavar="True|False", help="load -pm (default: False)")
    add("-pm", "--pre-model", default="", metavar="FILE", help="a checkpoint: weights to begin, or to predict with")
    add("-g", "--num-gpu", type=cli.positive, default=1, metavar="N", help="one process takes one; torchrun starts several")
    add("-c", "--num-cpu", type=cli.positive, default=1, metavar="N", help="processes that make samples (default: %(default)s)")
    add("-b", "--batch-size", type=cli.positive, default=1, metavar="N", help="samples at a time, in all (default: %(default)s)")
    add("--task", type=int, choices=sorted(TASKS), default=CLEFTS, help="1 affinities of neurons, 2 clefts (default)")
    add("pairs", nargs="*", metavar="KEY VALUE", help="as of main.py: over what the flags mean")
    parser.parse_args = parser.parse_intermixed_args  # type: ignore[method-assign]  # pairs stand anywhere
    return parser


def _truth(text: str) -> bool:
    if text.lower() not in YES + NO:
        raise argparse.ArgumentTypeError(f"{text!r} is neither True nor False")
    return text.lower() in YES


def _size(text: str) -> list[int]:
    parts = text.split(",")
    if len(parts) != 3 or not all(part.strip().isdigit() and int(part) for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is no size: write three numbers, like 8,256,256")
    return [int(part) for part in parts]


def _architecture(text: str) -> str:
    if text in OLD:
        raise argparse.ArgumentTypeError(f"{text} of 2019 is not built here. Take unetv0, or a network of main.py")
    if text not in ARCHITECTURES:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(ARCHITECTURES)}{nearest(text, ARCHITECTURES)}")
    return text
