"""The commands behind 01_data/add_labels_mask.py and add_unlabeled_mask.py: the masks of sparse labels, by the names of XPRESS.

Options and defaults are the published ones. The rules are those of create_masks.py, and so is what happens to a mask that is
there: the published scripts replaced it without a word.
"""

import argparse

from lsd_experiments import cli
from lsd_experiments.arrays import Volume, can_add, check_labels, find_volume, open_volume, overlap
from lsd_experiments.arrays.advice import convert_command
from lsd_experiments.errors import UserError
from lsd_experiments.masks.blockwise import MaskRule, MaskTask
from lsd_experiments.masks.command import label_id, make_masks

LABELS = "volumes/training_gt_labels"
MASK = "volumes/training_gt_labels_mask"
UNLABELED = "volumes/training_gt_unlabeled_mask"
EXCLUDE = "--exclude-labels"


def labels_mask_main(description: str | None) -> None:
    """Run add_labels_mask.py."""
    cli.run(add_labels_mask, _parser(description))


def unlabeled_mask_main(description: str | None) -> None:
    """Run add_unlabeled_mask.py."""
    cli.run(add_unlabeled_mask, _unlabeled_parser(description))


def add_labels_mask(options: argparse.Namespace) -> None:
    """Make the labels mask: 1 on every voxel of the labels, but for ids that are excluded.

    :raises UserError: if the container cannot take it, has no labels, or has a mask that was made otherwise.
    """
    task = MaskTask(_labels(options.fpath, LABELS), MaskRule(_excluded(options)), options.fpath, MASK, option=EXCLUDE)
    make_masks([task], options.overwrite)


def add_unlabeled_mask(options: argparse.Namespace) -> None:
    """Make the unlabeled mask: 1 where a voxel is labelled, and the labels mask is not 0.

    :raises UserError: as above, or if there is no labels mask yet.
    """
    labels = _labels(options.fpath, options.input_ds_label)
    within = find_volume(options.fpath, options.input_ds_mask)
    if within is None:
        raise UserError(f"{options.fpath}: no labels mask '{options.input_ds_mask}', which comes first. Make it with "
                        "add_labels_mask.py, or name another with --input_ds_mask")  # fmt: skip
    overlap(labels, within)  # or it is refused
    rule = MaskRule(_excluded(options), unlabeled=True, include_zero=bool(options.include_zero))
    make_masks([MaskTask(labels, rule, options.fpath, options.output_ds_label, within, EXCLUDE)], options.overwrite)


def _excluded(options: argparse.Namespace) -> tuple[int, ...]:
    return tuple(sorted({*options.exclude_labels}))


def _labels(container: str, dataset: str) -> Volume:
    labels = open_volume(container, dataset)
    check_labels(labels)
    if not can_add(container):
        raise UserError(f"{container}: is only read, and its mask is put beside the labels. Convert it to zarr: "
                        f"{convert_command(labels, dataset=dataset or LABELS)}")
    return labels


def _parser(description: str | None) -> argparse.ArgumentParser:
    parser = cli.parser(description)
    parser.add_argument("fpath", metavar="FPATH", help="zarr, N5 or HDF5 with the labels; the mask is put into it")
    parser.add_argument("--exclude_labels", EXCLUDE, type=label_id, nargs="+", default=[], metavar="ID",
                        help="ids whose voxels do not count, like -1 where it marks what nobody knows")
    parser.add_argument("--overwrite", action="store_true", help="replace a mask that was made otherwise")
    return parser


def _unlabeled_parser(description: str | None) -> argparse.ArgumentParser:
    parser = _parser(description)
    add = parser.add_argument
    add("--include_zero", "--include-zero", type=int, choices=(0, 1), default=0,
        help="1: voxels of id 0 are labelled, too (default: 0)")  # fmt: skip
    add("--input_ds_label", "--input-ds-label", default=LABELS, metavar="DATASET", help="the labels (default: %(default)s)")
    add("--input_ds_mask", "--input-ds-mask", default=MASK, metavar="DATASET", help="the labels mask (default: %(default)s)")
    add("--output_ds_label", "--output-ds-label", default=UNLABELED, metavar="DATASET", help="the result (default: %(default)s)")
    return parser
