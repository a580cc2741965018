"""``csc make-datasplit``."""

import argparse
import fnmatch
import sys
from pathlib import Path

from lsd_experiments import cli
from lsd_experiments.errors import UserError
from lsd_experiments.families.cellmap.commands.options import Subparsers, add_layout, layout, names, nothing, numbers


def make_datasplit(options: argparse.Namespace) -> None:
    """Find the crops, divide them, write the CSV, and show both sides."""
    from lsd_experiments.families.cellmap.split import divide, find_crops, shown, write_split

    asked = {name: (name, f"crop{name}") if name.isdigit() else (name,) for name in options.crops}
    patterns = [one for several in asked.values() for one in several]
    crops = find_crops(layout(options), options.classes, _scale(options.scale), options.datasets, patterns)
    if not crops:
        raise nothing(options, _restricted(options))
    for option, given, found in (("--datasets", {name: (name,) for name in options.datasets}, {crop.dataset for crop in crops}),
                                 ("--crops", asked, {crop.name for crop in crops})):
        for name, several in given.items():
            if not any(fnmatch.filter(found, pattern) for pattern in several):
                print(f"{option} {name}: no crop with raw has one of {', '.join(options.classes)}", file=sys.stderr)
    divided = divide(crops, options.classes, options.validate_ratio, options.seed, options.force)
    write_split(options.csv_path, divided)
    print(shown([(side, crop.classes) for side, crop in divided], options.classes))
    print(options.csv_path)


def _restricted(options: argparse.Namespace) -> str:
    """What else than classes a crop was asked to have."""
    said = [" at that scale"] if options.scale else []
    said += [f" in --{name} {','.join(given)}" for name in ("datasets", "crops") if (given := getattr(options, name)) != ["*"]]
    return "".join(said)


def add(commands: "Subparsers[argparse.ArgumentParser]") -> None:
    """Add the parser."""
    parser = commands.add_parser("make-datasplit", help="divide the annotated crops into training and validation")
    parser.set_defaults(command=make_datasplit)
    add_layout(parser)
    parser.add_argument("--scale", "-s", type=numbers, help="nm, one or z,y,x: only classes annotated at least as finely")
    parser.add_argument("--validate-ratio", "-vr", type=float, default=0.1, help="share that validates (default: %(default)s)")
    parser.add_argument("--seed", type=cli.not_negative, default=42, help="equal seeds give equal splits (default: %(default)s)")
    force = parser.add_mutually_exclusive_group()
    force.add_argument("--force-all-classes", "-fa", dest="force", action="store_const", const=True, default=False,
                       help="leave out crops that lack a class")
    force.add_argument("--force-all-classes-train", "-ft", dest="force", action="store_const", const="train",
                       help="crops that train have all classes, others validate")
    force.add_argument("--force-all-classes-validate", "-fv", dest="force", action="store_const", const="validate",
                       help="crops that validate have all classes, others train")
    parser.add_argument("--csv-path", "--csv_path", "-cp", type=Path, default=Path("datasplit.csv"), help="default: %(default)s")
    parser.add_argument("--datasets", "-ds", type=names, default=["*"], help="like jrc_cos7-1a,jrc_mus*")
    parser.add_argument("--crops", "-cr", type=names, default=["*"], help="like crop1,crop2")


def _scale(values: list[float] | None) -> list[float] | None:
    if values is None or len(values) == 3:
        return values
    if len(values) != 1:
        raise UserError(f"--scale has {len(values)} numbers. Give one, or z,y,x in nm")
    return values * 3
