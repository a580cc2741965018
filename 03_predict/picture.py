"""Draw one section of a result: raw, segmentation, ground truth, affinities and LSDs, those that are named.

    python picture.py picture.png --raw sample.zarr volumes/raw --segmentation result.zarr volumes/segmentation
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lsd_experiments import cli
from lsd_experiments.picture.volumes import KINDS, write_picture_of_volumes


def main(options: argparse.Namespace) -> None:
    """Write the picture."""
    from lsd_experiments.arrays import open_volume

    named = {kind: getattr(options, kind) for kind in KINDS}
    volumes = {kind: open_volume(*names) for kind, names in named.items() if names}
    write_picture_of_volumes(options.out, volumes, options.section, options.title)
    print(options.out)


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("out", metavar="OUT.png")
    for kind in KINDS:
        parser.add_argument(f"--{kind}", nargs=2, metavar=("FILE", "DATASET"))
    parser.add_argument("--section", type=int, help="along z, from 0, in the region all share (default: the middle)")
    parser.add_argument("--title", default="")
    cli.run(main, parser)
