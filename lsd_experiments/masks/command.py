"""The command behind 01_data/create_masks.py."""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

from lsd_experiments import cli
from lsd_experiments.errors import UserError, nearest
from lsd_experiments.fetching.fetched import fetched_volumes
from lsd_experiments.masks.blockwise import MaskRule, MaskTask, is_made, write_mask

LABELS, MASK, UNLABELED = "volumes/labels/neuron_ids", "volumes/labels/labels_mask", "volumes/labels/unlabeled_mask"
FIRST_ID, LAST_ID = -(2**63), 2**64 - 1


def main(description: str | None, data_dir: Path, experiments: Path) -> None:
    """Run the command; ``data_dir``: where volumes are looked for if none is named; ``experiments``: 02_train."""
    cli.run(lambda options: create_masks(options, data_dir, experiments), _parser(description))


def create_masks(options: argparse.Namespace, data_dir: Path, experiments: Path) -> None:
    """Make the masks that are asked for; what is wrong with one of them is said before any is written.

    :raises UserError: if there is nothing to do it for, labels are missing, or a mask is there that was made otherwise.
    """
    if options.include_zero and not options.unlabeled:
        raise UserError("--include-zero is for --unlabeled: in a labels mask, id 0 counts unless --exclude 0 says it does not")
    if options.output and len(options.containers) != 1:
        raise UserError("--output is for one container. Name that one")
    containers = options.containers or fetched(data_dir)
    make_masks([make_task(container, options, experiments) for container in containers], options.overwrite)


def make_masks(tasks: Sequence[MaskTask], overwrite: bool) -> None:
    """Make the masks of ``tasks``, but for those that are there and were made alike; print the share that counts of each.

    :raises UserError: before any is written, if one is there that was made otherwise, and not ``overwrite``, or would take the
        place of what it is made from.
    """
    from tqdm import tqdm

    for task in tasks:
        task.check_place()
    made = [not overwrite and is_made(task) for task in tasks]
    total = sum(math.prod(task.labels.shape) for task, there in zip(tasks, made, strict=True) if not there)
    with tqdm(total=total, desc="masking", unit="voxel", unit_scale=True, leave=False, disable=None) as bar:
        for task, there in zip(tasks, made, strict=True):
            if there:
                bar.write(f"{task.name}: is there already, made like this")
                continue
            share = write_mask(task, overwrite, bar.update)
            bar.write(f"{task.name}: {share:.2%} of the voxels count{_without(task.rule)}")


def make_task(container: str, options: argparse.Namespace, experiments: Path) -> MaskTask:
    """What is to be done for ``container``.

    :raises UserError: if its labels are missing, or it cannot be written and there is no ``--output``.
    """
    from lsd_experiments.arrays import can_add, check_labels, find_volume, open_volume, overlap

    labels = open_volume(container, options.labels_dataset, default=LABELS)
    check_labels(labels)
    target = options.output or container
    if options.output and (not options.output.endswith(".zarr") or not can_add(options.output)):
        raise UserError(f"--output {options.output}: masks are put into zarr. Name a directory that ends in .zarr")
    if not can_add(target):
        raise UserError(f"{container}: is only read. Name a zarr directory for its mask with --output OUT.zarr")
    ids = (*background_ids(container, options.dataset, experiments), *options.exclude)
    rule = MaskRule(tuple(sorted({*ids})), options.unlabeled, options.include_zero)
    if not options.unlabeled:
        return MaskTask(labels, rule, target, options.mask_dataset)
    masks = (find_volume(place, options.mask_dataset) for place in dict.fromkeys((target, labels.container)))
    within = next(filter(None, masks), None)
    if within is not None:
        overlap(labels, within)  # or it is refused
    return MaskTask(labels, rule, target, options.unlabeled_dataset, within)


def background_ids(container: str, dataset: str | None, experiments: Path) -> tuple[int, ...]:
    """The ids that are no neurons: of ``dataset``, a directory of ``experiments`` or elsewhere, or of that of ``container``.

    That is the one whose volumes lie in the same directory, or in one that is called alike: ``<dataset>/training``.

    :raises UserError: if there is no such dataset.
    """
    from lsd_experiments.datasets import FILE, datasets_below, load_dataset

    known = datasets_below(experiments)
    if dataset is not None:
        if dataset not in known and not Path(dataset, FILE).is_file():
            raise UserError(f"--dataset {dataset}: there is none of that name{nearest(dataset, known) or '.'} It is one of "
                            f"{', '.join(known)}, or a directory with a {FILE}")  # fmt: skip
        return load_dataset(known.get(dataset) or Path(dataset, FILE)).background_ids
    directory = Path(container).absolute().parent
    if directory.name == "training" and directory.parent.name in known:
        return load_dataset(known[directory.parent.name]).background_ids
    beside = (found for found in map(load_dataset, known.values()) if found.directory == directory)
    return next((found.background_ids for found in beside), ())


def fetched(data_dir: Path) -> list[str]:
    """The training volumes of all datasets in ``data_dir``.

    :raises UserError: if there is none.
    """
    found = fetched_volumes(data_dir)
    if not found:
        raise UserError(f"{data_dir / 'funke'}: no training volumes (<dataset>/training/*.zarr). Fetch them there, or name some")
    return found


def _without(rule: MaskRule) -> str:
    return f" (without {', '.join(map(str, rule.excluded))})" if rule.excluded else ""


def _parser(description: str | None) -> argparse.ArgumentParser:
    parser = cli.parser(description)
    add = parser.add_argument
    add("containers", nargs="*", metavar="CONTAINER", help="zarr, N5 or HDF5 with labels (default: all that was fetched)")
    add("--dataset", metavar="NAME", help="whose background ids do not count (default: by the path, <dataset>/training/...)")
    add("--exclude", type=label_id, nargs="+", default=[], metavar="ID", help="further ids whose voxels do not count")
    add(
        "--unlabeled", action="store_true", help="make an unlabeled mask instead: 1 on labelled voxels where the labels mask is 1"
    )
    add("--include-zero", action="store_true", help="id 0 counts as labelled there")
    add("--labels-dataset", metavar="DATASET", help=f"default: {LABELS}")
    add("--mask-dataset", default=MASK, metavar="DATASET", help="the labels mask (default: %(default)s)")
    add("--unlabeled-dataset", default=UNLABELED, metavar="DATASET", help="default: %(default)s")
    add("--output", metavar="OUT.zarr", help="where the mask goes, for labels in a format that is only read")
    add("--overwrite", action="store_true", help="replace a mask that was made otherwise")
    return parser


def label_id(text: str) -> int:
    """The id that ``text`` says, for argparse; a negative one is what marks "no object" in labels of signed types."""
    try:
        number = int(text)
    except ValueError:
        number = LAST_ID + 1
    if not FIRST_ID <= number <= LAST_ID:
        raise argparse.ArgumentTypeError(f"{text} is no id, which is a whole number from {FIRST_ID} to {LAST_ID}")
    return number
