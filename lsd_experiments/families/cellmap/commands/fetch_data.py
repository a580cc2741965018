"""``csc fetch-data``."""

import argparse
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from lsd_experiments import cli
from lsd_experiments.families.cellmap.commands.options import MANIFEST, Subparsers

if TYPE_CHECKING:
    from lsd_experiments.fetching.stores import Store

CROPS = "data/manifest.csv"
REGION = "us-east-1"
WORKERS = "CSC_FETCH_DATA_NUM_WORKERS"


def fetch_data(options: argparse.Namespace) -> None:
    """Fetch labels, and raw around them, or say how much that would be."""
    from lsd_experiments.families.cellmap.fetching import choose, plan_crops, read_sources
    from lsd_experiments.families.cellmap.fetching.planning import put_groups
    from lsd_experiments.families.cellmap.manifest import read_manifest
    from lsd_experiments.fetching.command import carry_out

    options.jobs = options.jobs or cli.positive(os.environ.get(WORKERS, "32"))
    sources = read_sources(options.crop_manifest)
    targets = read_manifest(options.manifest) if options.crops == "test" or Path(options.manifest).is_file() else []
    wanted = choose(options.crops, sources, targets)
    padding, jobs = options.raw_padding, options.jobs
    carry_out(plan_crops(_stores(options), wanted, options.dest, padding, options.all_resolutions, jobs), options)
    if not options.dry_run:
        put_groups(wanted, options.dest)


def _stores(options: argparse.Namespace) -> "Callable[[str], Store]":
    @cache
    def store(bucket: str) -> "Store":
        from lsd_experiments.fetching.s3 import S3Store
        from lsd_experiments.fetching.stores import DirectoryStore

        found: Store = DirectoryStore(options.mirror) if options.mirror else S3Store(
            bucket, REGION, options.endpoint_url, options.jobs)
        found.check()
        return found

    return store


def add(commands: "Subparsers[argparse.ArgumentParser]") -> None:
    """Add the parser."""
    parser = commands.add_parser("fetch-data", help="fetch annotated and test crops, and raw around them")
    parser.set_defaults(command=fetch_data)
    add = parser.add_argument
    add("--crops", "-c", default="all", help="all (default), test, or numbers like 234,557 of annotated and test crops")
    add("--raw-padding", "--raw_padding", "-p", type=cli.not_negative, default=0, metavar="N",
        help="voxels of raw around a crop, at each level (default: 0)")
    add("--dest", "-d", type=Path, default=Path("data"), metavar="DIR", help="default: data")
    add("--all-resolutions", "--fetch-all-em-resolutions", "-all-res", action="store_true",
        help="raw that is much finer than the labels, too")
    add("--crop-manifest", default=CROPS, metavar="FILE", help=f"of annotated crops (default: {CROPS})")
    add("--manifest", "-m", default=MANIFEST, metavar="FILE", help="of test crops (default: %(default)s)")
    add("--dry-run", action="store_true", help="print sizes, check for room on the disk, and fetch nothing")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--endpoint-url", metavar="URL", help="another S3 server (default: AWS_ENDPOINT_URL, or Amazon's)")
    source.add_argument("--mirror", type=Path, metavar="DIR", help="copy from a directory that is laid out as the bucket")
    add("--num-workers", "--jobs", "-w", dest="jobs", type=cli.positive, metavar="N",
        help=f"requests at a time (default: {WORKERS}, or 32)")
