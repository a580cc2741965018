"""What several subcommands take: values, options, and what is made of them."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from lsd_experiments import cli
from lsd_experiments.errors import UserError

if TYPE_CHECKING:
    from lsd_experiments.families.cellmap.evaluation import Rules
    from lsd_experiments.families.cellmap.manifest import Target
    from lsd_experiments.families.cellmap.split import Layout

Subparsers = argparse._SubParsersAction  # of ArgumentParser; argparse has no other name for it
MANIFEST = "data/test_crop_manifest.csv"
SEARCH_PATH = "data/{dataset}/{dataset}.zarr/recon-1/{name}"
BUCKET = "s3://janelia-cosem-datasets/{dataset}/{dataset}.zarr/recon-1/{name}"
RULES = ("2025-09", "2026-06", "latest")


def names(text: str) -> list[str]:
    """The names that ``text`` says, with commas between them, for argparse."""
    found = [name.strip() for name in text.split(",") if name.strip()]
    if not found:
        raise argparse.ArgumentTypeError("is empty")
    return found


def numbers(text: str) -> list[float]:
    """The numbers above 0 that ``text`` says, with commas or spaces between them, for argparse."""
    return [cli.positive_number(part) for part in text.replace(",", " ").split()]


def add_layout(parser: argparse.ArgumentParser) -> None:
    """Where datasets lie, and which classes are meant."""
    parser.add_argument("--classes", "-c", type=names, default=["nuc", "er"], help="like nuc,er (default)")
    parser.add_argument("--search-path", "--search_path", "-sp", help=f"where datasets lie (default: {SEARCH_PATH})")
    parser.add_argument("--use-s3", "--use_s3", "-s3", action="store_true", help=f"look in the challenge's bucket, {BUCKET}")
    parser.add_argument("--raw-name", "--raw_name", "-rn", default="em/fibsem-uint8", help="default: %(default)s")
    parser.add_argument("--crop-name", "--crop_name", "-cn", default="labels/groundtruth/{crop}/{label}",
                        help="default: %(default)s")


def layout(options: argparse.Namespace) -> "Layout":
    """Of the options of :func:`add_layout`."""
    from lsd_experiments.families.cellmap.split import Layout

    if options.use_s3 and options.search_path:
        raise UserError("--use-s3 names the challenge's bucket, --search-path another place. Leave one out")
    return Layout(options.search_path or (BUCKET if options.use_s3 else SEARCH_PATH), options.raw_name, options.crop_name)


def nothing(options: argparse.Namespace, at: str = "") -> UserError:
    """That no crop was found."""
    return UserError(f"{layout(options).search_path}: no crop with raw has one of {', '.join(options.classes)}{at}. Correct the "
                     "paths, or name other classes")


def add_manifest(parser: argparse.ArgumentParser) -> None:
    """Where the manifest of the test crops is."""
    parser.add_argument("--manifest", "-m", default=MANIFEST, help="of the test crops (default: %(default)s)")


def add_scoring(parser: argparse.ArgumentParser) -> None:
    """Against which truth, and by which rules, submissions are scored."""
    parser.add_argument("--truth-path", "--truth_path", "-t", type=Path, default=Path("data/ground_truth.zarr"),
                        help="default: %(default)s")
    parser.add_argument("--rules", choices=RULES, default="latest", help="as of when to score (default: %(default)s)")
    parser.add_argument("--parity", action="store_true", help="with the published program's defects: docs/cellmap.md")
    parser.add_argument("--instance-classes", "--instance_classes", "-ic", type=names, help="in place of the challenge's")
    parser.add_argument("--manifest", "-m", help="where crops are scored (default: where the truth lies)")


def rules(options: argparse.Namespace) -> "Rules":
    """Of the options of :func:`add_scoring`."""
    from lsd_experiments.families.cellmap.classes import INSTANCES
    from lsd_experiments.families.cellmap.evaluation import Rules

    return Rules(options.rules, options.parity, options.instance_classes or INSTANCES)


def targets(options: argparse.Namespace) -> "list[Target] | None":
    """The rows of the manifest that is named, if one is."""
    from lsd_experiments.families.cellmap.manifest import read_manifest

    return read_manifest(options.manifest) if options.manifest else None
