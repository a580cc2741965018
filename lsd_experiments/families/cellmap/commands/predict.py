"""``csc predict``."""

import argparse
import sys
from pathlib import Path

from lsd_experiments import cli
from lsd_experiments.families.cellmap.commands.options import MANIFEST, SEARCH_PATH, Subparsers, names

OUTPUT = "data/predictions/{dataset}.zarr/{crop}"


def predict(options: argparse.Namespace) -> int:
    """Predict crops."""
    from lsd_experiments.networks.torch_network import require_torch

    require_torch()
    from lsd_experiments.blockwise import BlocksFailedError, Workers
    from lsd_experiments.families.cellmap.configuration import read
    from lsd_experiments.families.cellmap.prediction.crops import find_places
    from lsd_experiments.families.cellmap.prediction.predicting import Choices, predict
    from lsd_experiments.families.cellmap.split import Layout

    settings = read(options.config)
    layout = Layout(options.search_path, options.raw_name, options.crop_name)
    places, left = find_places(layout, options.crops, settings.classes, options.manifest)
    for line in left:
        print(line, file=sys.stderr)
    choices = Choices(options.output_path, options.values, options.dtype, options.overlap, options.blending,
                      not options.skip_orthoplanes, options.allow_partial)
    workers = Workers(num_workers=options.num_workers)
    try:
        found = predict(settings, places, choices, workers, options.overwrite, options.force, options.dry_run)
    except BlocksFailedError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(*found, sep="\n")
    return 0


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to below 1")
    return value


def add(commands: "Subparsers[argparse.ArgumentParser]") -> None:
    """Add the parser."""
    parser = commands.add_parser("predict", help="predict crops with what was trained; the same command goes on")
    parser.set_defaults(command=predict)
    parser.add_argument("config", type=Path, metavar="CONFIG", help="a Python file, which is run, or a TOML file")
    parser.add_argument("--crops", "-c", type=names, default=["test"], help="test (default), names like crop557,12, or * for all "
                        "that are annotated")
    parser.add_argument("--output-path", "--output_path", "-o", default=OUTPUT, help="default: %(default)s")
    parser.add_argument("--skip-orthoplanes", "--skip_orthoplanes", "-so", action="store_true",
                        help="a 2-D network sees sections of one axis, not of three")
    parser.add_argument("--overwrite", "-O", action="store_true", help="make anew what is there")
    parser.add_argument("--search-path", "--search_path", "-s", default=SEARCH_PATH,
                        help="where datasets lie (default: %(default)s)")
    parser.add_argument("--raw-name", "--raw_name", "-r", default="em/fibsem-uint8", help="default: %(default)s")
    parser.add_argument("--crop-name", "--crop_name", "-n", default="labels/groundtruth/{crop}/{label}",
                        help="default: %(default)s")
    parser.add_argument("--manifest", "-m", default=MANIFEST, help="of the test crops (default: %(default)s)")
    parser.add_argument("--values", choices=("logits", "probabilities"), default="logits", help="default: %(default)s")
    parser.add_argument("--dtype", choices=("float16", "float32", "uint8"), default="float16",
                        help="uint8: probabilities, 0 to 255 (default: %(default)s)")
    parser.add_argument("--overlap", type=_share, default=0.25, help="of a patch and the next one (default: %(default)s)")
    parser.add_argument("--blending", choices=("bump", "gaussian", "none"), default="bump", help="default: %(default)s")
    parser.add_argument("--num-workers", "-w", type=cli.positive, default=1, metavar="N", help="processes (default: %(default)s)")
    parser.add_argument("--allow-partial", action="store_true", help="take those of a checkpoint's tensors that fit the model")
    parser.add_argument("--dry-run", action="store_true", help="say how much would be written, and end")
    parser.add_argument("--force", action="store_true", help="also if the disk has no room for it")
