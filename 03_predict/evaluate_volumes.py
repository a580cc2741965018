"""Score a segmentation against its ground truth, two volumes on disk: VOI, Rand and adapted Rand.

    python evaluate_volumes.py result.zarr volumes/segmentation sample.zarr volumes/labels/neuron_ids

Where both overlap, or in an ROI (z y x, nm). Ground truth 0 is ignored. Prints a table; --out writes JSON, CSV and a
plot.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lsd_experiments import cli
from lsd_experiments.errors import UserError
from lsd_experiments.evaluation import check_prefix, evaluate_volumes, table, write_scores
from lsd_experiments.provenance import provenance


def main(options: argparse.Namespace) -> None:
    """Compare the two volumes."""
    from lsd_experiments.arrays import open_volume, to_box

    if options.out is not None:
        check_prefix(options.out)
    segmentation = open_volume(options.segmentation_file, options.segmentation_dataset)
    labels = open_volume(options.labels_file, options.labels_dataset)
    if (options.roi_offset is None) != (options.roi_shape is None):
        raise UserError("an ROI needs both --roi-offset and --roi-shape")
    box = to_box(labels, options.roi_offset, options.roi_shape) if options.roi_offset else None
    scores = evaluate_volumes(segmentation, labels, box)
    print(table([scores]))
    if options.out is not None:
        parameters = {"roi_offset": options.roi_offset, "roi_shape": options.roi_shape}
        inputs = {"segmentation": segmentation.name, "labels": labels.name}
        write_scores([scores], options.out, provenance("evaluate_volumes", parameters, inputs))


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("segmentation_file")
    parser.add_argument("segmentation_dataset")
    parser.add_argument("labels_file")
    parser.add_argument("labels_dataset")
    parser.add_argument("--roi-offset", type=float, nargs=3, metavar=("Z", "Y", "X"),
                        help="nm, where the region begins in the world")
    parser.add_argument("--roi-shape", type=float, nargs=3, metavar=("Z", "Y", "X"), help="nm")
    parser.add_argument("--out", metavar="PREFIX", help="write PREFIX.json, PREFIX.csv and PREFIX.png")
    cli.run(main, parser)
