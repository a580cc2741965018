"""``csc process``."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lsd_experiments import cli
from lsd_experiments.errors import UserError, nearest
from lsd_experiments.families.cellmap.commands.options import Subparsers, add_manifest, names

if TYPE_CHECKING:
    from lsd_experiments.families.cellmap.places import CropPlace
    from lsd_experiments.families.cellmap.processing import Processing

INPUT, OUTPUT = "data/predictions/{dataset}.zarr/{crop}", "data/processed/{dataset}.zarr/{crop}"


def process(options: argparse.Namespace) -> int:
    """Make of each class of each crop what is submitted, and say where it is."""
    from lsd_experiments.blockwise import BlocksFailedError
    from lsd_experiments.families.cellmap.places import check_pattern, filled_in
    from lsd_experiments.families.cellmap.processing import process_class, read_processing

    processing = read_processing(options.config)
    if options.max_workers is not None:
        processing = processing.with_workers(options.max_workers)
    check_pattern(options.output_path)
    jobs = [(place, label, filled_in(options.output_path, place.dataset, place.crop))
            for place in _places(options) for label in _classes(place, processing)]
    if not jobs:
        raise UserError(f"{options.config}: classes: none of {', '.join(processing.classes or ())} was predicted in the crops at "
                        f"{options.input_path}. Correct it, or run csc predict")
    _check_apart(jobs, options.output_path)
    _tell_idle(processing, sorted({label for _, label, _ in jobs}))
    try:
        for place, label, out in jobs:
            print(process_class(f"{place.path}/{label}", f"{out}/{label}", label, processing, options.overwrite), flush=True)
    except BlocksFailedError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _places(options: argparse.Namespace) -> "list[CropPlace]":
    from lsd_experiments.families.cellmap.manifest import read_manifest
    from lsd_experiments.families.cellmap.places import crop_names, find_places

    asked = list(options.crops)
    if "test" in asked:
        asked.remove("test")
        asked += dict.fromkeys(target.crop for target in read_manifest(options.manifest))
    found = find_places(options.input_path, crops=crop_names(asked))
    there = {place.crop for place in found}
    missing = [name for name in crop_names(asked) if "*" not in name and name not in there]
    if not found or (missing and options.crops != ["test"]):
        name = missing[0] if missing else options.crops[0]
        raise UserError(f"--crops: there is no prediction of {name} at {options.input_path}. Run csc predict, or name others")
    for name in missing:
        print(f"{name} is left out: it was not predicted", file=sys.stderr)
    return found


def _classes(place: "CropPlace", processing: "Processing") -> list[str]:
    there = place.classes
    for label in processing.classes or ():
        if label not in there:
            print(f"{place.crop}/{label} is left out: it was not predicted", file=sys.stderr)
    return [label for label in processing.classes or there if label in there]


def _tell_idle(processing: "Processing", labels: list[str]) -> None:
    """What is said of classes that are in no crop, which may be misspelt."""
    for label in processing.tables:
        if label not in ("*", *labels):
            print(f"{processing.path}: processing: '{label}' was predicted in none of these crops{nearest(label, labels)}",
                  file=sys.stderr)


def _check_apart(jobs: "list[tuple[CropPlace, str, str]]", pattern: str) -> None:
    """:raises UserError: if two crops would be written to one place"""
    seen: dict[str, str] = {}
    for place, label, out in jobs:
        other = seen.setdefault(f"{out}/{label}", place.path)
        if other != place.path:
            raise UserError(f"--output-path: {pattern} is one place for {other} and {place.path}. Write {{dataset}} and {{crop}} "
                            "in it")


def add(commands: "Subparsers[argparse.ArgumentParser]") -> None:
    """Add the parser."""
    parser = commands.add_parser("process", help="make of predictions what is submitted: masks, and instances; the same command "
                                 "goes on")
    parser.set_defaults(command=process)
    parser.add_argument("config", type=Path, metavar="CONFIG", help="a Python file, which is run, or a TOML file")
    parser.add_argument("--crops", "-c", type=names, default=["test"], help="test (default), names like crop557,12, or * for all "
                        "that were predicted")
    parser.add_argument("--input-path", "--input_path", "-i", default=INPUT, help="where predictions lie (default: %(default)s)")
    parser.add_argument("--output-path", "--output_path", "-o", default=OUTPUT, help="default: %(default)s")
    parser.add_argument("--overwrite", "-O", action="store_true", help="make anew what is there")
    parser.add_argument("--max-workers", "--max_workers", "-w", type=cli.positive, metavar="N",
                        help="processes (default: as many as fit the machine)")
    add_manifest(parser)
