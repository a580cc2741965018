"""The command that aligns a stack, and brings predictions back."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from lsd_experiments import cli
from lsd_experiments.errors import UserError

if TYPE_CHECKING:
    from lsd_experiments.arrays import Volume

RAW, LABELS = "volumes/raw", ("volumes/labels/neuron_ids", "volumes/labels/clefts")
ALIGNING = ("labels", "model", "missing", "keep_cracks", "voxel_size", "picture")
UNDOING = ("out_dataset", "interpolation")


def main(description: str | None) -> None:
    """Run the command."""
    cli.run(run, parser(description))


def run(options: argparse.Namespace) -> None:
    """Do what the options say."""
    places = options.places
    if len(places) != (3 if options.undo else 2):
        wanted = "PREDICTION ALIGNED.zarr OUT" if options.undo else "STACK ALIGNED.zarr"
        raise UserError(f"{len(places)} places are named: {' '.join(places)}. Name {wanted}")
    _check_direction(options)
    (_undo if options.undo else _align)(options, *places[1:])


def _check_direction(options: argparse.Namespace) -> None:
    """:raises UserError: if an option is of the other direction"""
    back = parser(None)
    for name in ALIGNING if options.undo else UNDOING:
        if getattr(options, name) != back.get_default(name):
            other = "aligning, not of --undo" if options.undo else "--undo"
            raise UserError(f"--{name.replace('_', '-')}: is of {other}. Leave it out")


def stack_of(options: argparse.Namespace) -> "tuple[Volume, list[Volume]]":
    """Raw of the stack that is to be aligned, and the labels that it carries along."""
    from lsd_experiments.arrays import has_dataset, open_volume

    stack = options.places[0]
    raw = open_volume(stack, options.dataset, default=RAW, voxel_size=options.voxel_size)
    names = [name for name in LABELS if has_dataset(stack, name)] if options.labels is None else options.labels
    return raw, [open_volume(stack, name, voxel_size=options.voxel_size) for name in names]


def _align(options: argparse.Namespace, container: str) -> None:
    from lsd_experiments.alignment.aligning import align_stack
    from lsd_experiments.arrays import open_volume
    from lsd_experiments.evaluation import check_prefix

    raw, labels = stack_of(options)
    if options.picture:
        check_prefix(options.picture)
    made = align_stack(raw, container, labels, options.model, options.missing, not options.keep_cracks, options.overwrite,
                       options.fill)
    for kind, sections in made.findings.items():
        if sections:
            print(f"{kind}: sections {', '.join(map(str, sections))}")
    print(f"{container}: {', '.join(volume.dataset or 'raw' for volume in (raw, *labels))}, alignment.json")
    for volume in labels:
        _say_outside(container, volume.dataset, "where no section is")
    if options.picture:
        from lsd_experiments.alignment.pictures import draw

        draw(raw, open_volume(container, raw.dataset or "raw"), Path(options.picture))
        print(options.picture)


def prediction_of(options: argparse.Namespace) -> "Volume":
    """What is to be brought back."""
    from lsd_experiments.arrays import open_volume

    return open_volume(options.places[0], options.dataset)


def _undo(options: argparse.Namespace, container: str, out: str) -> None:
    from lsd_experiments.alignment.aligning import MASK, is_labels, undo_alignment

    volume = prediction_of(options)
    dataset = options.out_dataset or volume.dataset or "prediction"
    nearest = is_labels(volume) if options.interpolation is None else options.interpolation == "nearest"
    undo_alignment(volume, container, out, dataset, nearest, options.fill, options.overwrite)
    how = "labels, by nearest neighbour" if nearest else "values, interpolated"
    print(f"{out}: {dataset} ({how}), {dataset}{MASK}")
    _say_outside(out, dataset, "where nothing came from")


def _say_outside(container: str, dataset: str, where: str) -> None:
    from lsd_experiments.alignment.filling import ATTRIBUTE, in_words
    from lsd_experiments.arrays import open_volume

    value = open_volume(container, dataset).attrs.get(ATTRIBUTE)
    if value is not None:  # versions before did not note it
        print(f"{dataset} is {in_words(value)} {where}")


def parser(description: str | None) -> argparse.ArgumentParser:
    """All options; ``description`` is the command's docstring."""
    parser = cli.parser(description)
    add = parser.add_argument
    add("places", nargs="+", metavar="PLACE", help="STACK ALIGNED.zarr; with --undo PREDICTION ALIGNED.zarr OUT.hdf|OUT.zarr")
    add("--undo", action="store_true", help="bring a prediction back to the stack")
    add("--dataset", metavar="NAME", help=f"of the stack (default: {RAW}, or the only one); of the prediction")
    add("--fill", type=int, metavar="VALUE", help="of labels where no section is (default: of clefts 2^64 - 2, of others 2^64 - "
        "1 if they have it, else 0); of what is brought back, where nothing came from (2^64 - 1 of labels that have it, else 0)")
    add("--overwrite", action="store_true", help="make anew what was made otherwise")
    aligning = parser.add_argument_group("to align")
    text = "carried along, of the same container (default: neuron_ids and clefts of volumes/labels, if they are there)"
    aligning.add_argument("--labels", nargs="*", metavar="NAME", help=text)
    aligning.add_argument("--model", choices=("shift", "rigid", "affine"), default="rigid",
                          help="how a section may lie beside the next one (default: %(default)s, a shift and a turn)")
    aligning.add_argument("--missing", choices=("copy", "remove", "keep"), default="copy",
                          help="sections that show nothing: show the nearest one (default), are left out, or stay as they are")
    aligning.add_argument("--keep-cracks", action="store_true", help="do not look for cracks and folds, and close none")
    aligning.add_argument("--voxel-size", type=cli.positive_number, nargs=3, metavar=("Z", "Y", "X"), help="nm, if not stored")
    aligning.add_argument("--picture", metavar="OUT.png", help="draw the same xz section before and after")
    undoing = parser.add_argument_group("to undo")
    undoing.add_argument("--out-dataset", metavar="NAME", help="default: as the prediction's")
    undoing.add_argument("--interpolation", choices=("nearest", "linear"),
                         help="default: nearest of integers, which are labels; linear of uint8 and floats")
    return parser
