"""``csc pack-results``."""

import argparse
from pathlib import Path

from lsd_experiments.families.cellmap.commands.options import Subparsers, add_manifest


def pack_results(options: argparse.Namespace) -> None:
    """Pack, and say what is missing."""
    from lsd_experiments.families.cellmap.manifest import read_manifest
    from lsd_experiments.families.cellmap.packing import pack

    told = pack(options.input_search_path, options.output_path, read_manifest(options.manifest), options.overwrite)
    for name in told.missing:
        print(f"{name} is missing, and scores 0")
    for name in told.extra:
        print(f"{name} is not scored, and was left out")
    print(f"{len(told.packed)} classes packed, {len(told.missing)} missing")
    print(options.output_path.with_suffix(".zip"))


def add(commands: "Subparsers[argparse.ArgumentParser]") -> None:
    """Add the parser."""
    parser = commands.add_parser("pack-results", help="pack what was processed into submission.zarr and submission.zip")
    parser.set_defaults(command=pack_results)
    parser.add_argument("--input-search-path", "--input_search_path", "-i", default="data/processed/{dataset}.zarr/{crop}",
                        help="where processed crops lie (default: %(default)s)")
    parser.add_argument("--output-path", "--output_path", "-o", type=Path, default=Path("data/submission.zarr"),
                        help="default: %(default)s")
    parser.add_argument("--overwrite", "-O", action="store_true", help="replace what is there")
    add_manifest(parser)
