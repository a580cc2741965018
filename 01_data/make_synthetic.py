"""Make a synthetic volume whose true segmentation is known: neuropil as in EM, or axons as in x-ray tomography.

    python make_synthetic.py OUT.zarr --shape 100 400 400
    python make_synthetic.py OUT.zarr --kind axons
    python make_synthetic.py OUT --kind cellmap

Neuropil: writes volumes/raw, volumes/labels/neuron_ids and volumes/labels/labels_mask.

Axons: a challenge in the layout of XPRESS, in voxels of 33 nm. Writes volumes/{training,validation,test}_raw and sparse
volumes/training_gt_labels, the truth of each volume as volumes/{training,validation,test}_labels, and beside the container
the skeletons of all axons, XPRESS_{training,validation,test}_skels.npz. Prints the regions to evaluate, begin and shape
in nm, as they are in the attribute evaluation_roi of raw.

Cellmap: a directory in the layout of the CellMap challenge: data with annotated crops and a manifest of test crops, and apart,
in truth, what they are scored against.

Shapes are z y x in voxels, sizes in nm. Equal options give equal volumes.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lsd_experiments import cli
from lsd_experiments.errors import UserError
from lsd_experiments.families.cellmap.synthetic import write_cellmap
from lsd_experiments.families.xpress.synthetic import evaluation_roi, write_challenge
from lsd_experiments.synthetic import write_synthetic

# Of each kind: how it is written, and its options with their defaults.
KINDS = {
    "neuropil": (write_synthetic,
                 {"shape": (100, 400, 400), "density": 6.0, "voxel_size": (20, 9, 9), "offset": (400, 900, 1800)}),
    "axons": (write_challenge, {"shape": (240, 240, 240), "density": 0.35, "labeled": 0.4}),
    "cellmap": (write_cellmap, {"shape": (64, 96, 144), "density": 12.0}),
}


def main(options: argparse.Namespace) -> None:
    """Write the volume."""
    write, defaults = KINDS[options.kind]
    given = {name: getattr(options, name) for name in ("shape", "density", "voxel_size", "offset", "labeled")}
    for name, value in given.items():
        if value is not None and name not in defaults:
            raise UserError(f"--{name.replace('_', '-')}: not with --kind {options.kind}. Leave it out")
    arguments = {name: default if given[name] is None else given[name] for name, default in defaults.items()}
    made = write(options.out, seed=options.seed, **arguments)
    print(options.out if made else f"{options.out} is there already, made with these options")
    if options.kind == "axons":
        for split in ("validation", "test"):
            begin, shape = (" ".join(f"{n:g}" for n in part) for part in evaluation_roi(arguments["shape"], split))
            print(f"{split}: evaluate at {begin}, shape {shape} nm")


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("out", metavar="OUT.zarr", help="a new zarr directory; cellmap: a new directory")
    parser.add_argument("--kind", choices=KINDS, default="neuropil", help="what to make (default: neuropil)")
    parser.add_argument("--shape", type=int, nargs=3, metavar=("Z", "Y", "X"),
                        help="voxels; each takes about 64 bytes of memory (default: 100 400 400; "
                        "axons: three of 240 240 240; cellmap: two of 64 96 144)")
    parser.add_argument("--voxel-size", type=float, nargs=3, metavar=("Z", "Y", "X"),
                        help="nm, 0.5 to 150 (default: 20 9 9); axons: always 33; cellmap: 16, and 13.92 16 16")
    parser.add_argument("--density", type=float,
                        help="neurites per cubic micrometre that are tried; where space is short, fewer (default: 6; "
                        "axons: 0.35; cellmap: 12)")
    parser.add_argument("--seed", type=int, default=0,
                        help="equal seeds and options give the same volume, bit for bit (default: 0)")
    parser.add_argument("--offset", type=float, nargs=3, metavar=("Z", "Y", "X"),
                        help="of the first voxel, nm (default: 400 900 1800); axons: always 0; cellmap: its own")
    parser.add_argument("--labeled", type=float, help="axons: share of them that the voxel labels tell of (default: 0.4)")
    cli.run(main, parser)
