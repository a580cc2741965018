"""Make a synthetic EM-like volume whose true segmentation is known.

    python make_synthetic.py OUT.zarr --shape 100 400 400

Writes volumes/raw, volumes/labels/neuron_ids and volumes/labels/labels_mask; shapes are z y x in voxels, sizes in nm.
Equal options give equal volumes.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lsd_experiments import cli
from lsd_experiments.synthetic import write_synthetic


def main(options: argparse.Namespace) -> None:
    """Write the volume."""
    made = write_synthetic(options.out, options.shape, options.voxel_size, options.density, options.seed,
                           options.offset)
    print(options.out if made else f"{options.out} is there already, made with these options")


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("out", metavar="OUT.zarr", help="a new zarr directory")
    parser.add_argument("--shape", type=int, nargs=3, default=(100, 400, 400), metavar=("Z", "Y", "X"),
                        help="voxels; each takes about 64 bytes of memory (default: 100 400 400)")
    parser.add_argument("--voxel-size", type=float, nargs=3, default=(20, 9, 9), metavar=("Z", "Y", "X"),
                        help="nm, 0.5 to 150 (default: 20 9 9)")
    parser.add_argument("--density", type=float, default=6.0,
                        help="neurites per cubic micrometre that are tried; where space is short, fewer (default: 6)")
    parser.add_argument("--seed", type=int, default=0,
                        help="equal seeds and options give the same volume, bit for bit (default: 0)")
    parser.add_argument("--offset", type=float, nargs=3, default=(400, 900, 1800), metavar=("Z", "Y", "X"),
                        help="of the first voxel, nm (default: 400 900 1800)")
    cli.run(main, parser)
