"""``evaluate_lsds.py``."""

import argparse
import json
from pathlib import Path
from typing import Any

from lsd_experiments import cli
from lsd_experiments.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command line has."""
    add = parser.add_argument
    add("lsds_file", help="the prediction")
    add("lsds_dataset", help="like volumes/lsds")
    add("labels_file")
    add("labels_dataset", help="like volumes/labels/neuron_ids")
    add("--sigma", type=cli.positive_number, required=True, metavar="NM",
        help="of the descriptors' window, as train.py of the network says: 120 of zebrafinch, 80 of fib25 and hemi")
    add("--downsample", type=cli.positive, default=2, metavar="N", help="the truth is computed on every N-th voxel (default: 2, "
        "as in training)")
    add("--mask-dataset", metavar="DATASET", help="of labels_file: only where it is not 0 (default: all labels count)")
    for name, help in (("--roi-offset", "nm, where the region begins in the world"), ("--roi-shape", "nm")):
        add(name, type=float, nargs=3, metavar=("Z", "Y", "X"), help=help)
    add("--out", type=Path, metavar="FILE.json", help="write the table there, with where it comes from")


def command(options: argparse.Namespace) -> None:
    """Compare, print, and write.

    :raises UserError: if a volume does not fit, or ``--out`` cannot be written
    """
    from lsd_experiments.arrays import open_volume, to_box
    from lsd_experiments.evaluation.descriptors import DESCRIPTORS, evaluate_descriptors, in_words, rows_of
    from lsd_experiments.writing import check_writable, put_text

    if options.out is not None:
        if options.out.suffix != ".json":
            raise UserError(f"{options.out}: is written as JSON. Let its name end in .json")
        check_writable(options.out.absolute().parent)
    lsds = open_volume(options.lsds_file, options.lsds_dataset)
    labels = open_volume(options.labels_file, options.labels_dataset)
    mask = open_volume(options.labels_file, options.mask_dataset) if options.mask_dataset else None
    if (options.roi_offset is None) != (options.roi_shape is None):
        raise UserError("an ROI needs both --roi-offset and --roi-shape")
    box = to_box(labels, options.roi_offset, options.roi_shape) if options.roi_offset else None
    rows = rows_of(evaluate_descriptors(lsds, labels, options.sigma, mask, options.downsample, box))
    print(in_words(rows))
    if options.out is not None:
        put_text(options.out, json.dumps({DESCRIPTORS: rows, "provenance": _provenance(options, lsds, labels)}, indent=1) + "\n")


def _provenance(options: argparse.Namespace, lsds: Any, labels: Any) -> dict[str, Any]:
    from lsd_experiments.provenance import provenance, provenance_in

    parameters = {key: getattr(options, key) for key in ("sigma", "downsample", "mask_dataset", "roi_offset", "roi_shape")}
    said = provenance_in(lsds.attrs).get("parameters", {})
    inputs = {"prediction": lsds.name, "labels": labels.name, "variant": said.get("variant"), "iteration": said.get("iteration"),
              "averaged_weights": said.get("averaged_weights", False)}
    return provenance("evaluate_lsds", parameters, inputs)
