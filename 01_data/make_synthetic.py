"""Make a synthetic volume whose true segmentation is known: neuropil as in EM, or axons as in x-ray tomography; or a challenge.

    python make_synthetic.py OUT.zarr --shape 100 400 400
    python make_synthetic.py OUT.zarr --level 2
    python make_synthetic.py OUT.zarr --kind axons
    python make_synthetic.py OUT --kind snemi3d
    python make_synthetic.py OUT.zarr --kind clefts
    python make_synthetic.py OUT --kind cellmap

Neuropil: writes volumes/raw, volumes/labels/neuron_ids and volumes/labels/labels_mask. --level makes it harder
to segment: thinner neurites, coarser sections, weak and missing membranes, noise, missing sections.

Axons: a challenge in the layout of XPRESS, in voxels of 33 nm. Writes volumes/{training,validation,test}_raw and sparse
volumes/training_gt_labels, the truth of each volume as volumes/{training,validation,test}_labels, and beside the container
the skeletons of all axons, XPRESS_{training,validation,test}_skels.npz. Prints the regions to evaluate, begin and shape
in nm, as they are in the attribute evaluation_roi of raw.

SNEMI3D: neuropil as the challenge's files, in voxels of 30 x 6 x 6 nm: OUT/image/{train,test}-input.tif and
OUT/seg/train-labels.tif, and, which the challenge does not tell, OUT/seg/test-labels.h5.

Clefts: a sample as CREMI's, in voxels of 40 x 4 x 4 nm: a crooked stack with synaptic clefts, and with sections that are shifted,
missing, dark and cracked, unless --straight. Writes volumes/raw, volumes/labels/{neuron_ids,clefts}, what they were before as
truth/{raw,neuron_ids,clefts}, and beside the container OUT.hdf, a file of CREMI with the synaptic partners.

Cellmap: a directory in the layout of the CellMap challenge: data with annotated crops and a manifest of test crops, and apart,
in truth, what they are scored against.

Shapes are z y x in voxels, sizes in nm. Equal options give equal volumes.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lsd_experiments import cli
from lsd_experiments.errors import UserError
from lsd_experiments.families.cellmap.synthetic import write_cellmap
from lsd_experiments.families.cremi.synthetic import write_clefts
from lsd_experiments.families.pytc.synthetic import write_snemi3d
from lsd_experiments.families.xpress.synthetic import evaluation_roi, write_challenge
from lsd_experiments.synthetic import write_synthetic
from lsd_experiments.synthetic.levels import LEVELS

# Of each kind: how it is written, and its options with their defaults. What a kind does not have, it decides itself.
KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "neuropil": (write_synthetic,
                 {"shape": (100, 400, 400), "density": 6.0, "voxel_size": (20, 9, 9), "offset": (400, 900, 1800),
                  "level": None}),
    "axons": (write_challenge, {"shape": (240, 240, 240), "density": 0.35, "labeled": 0.4}),
    "snemi3d": (write_snemi3d, {"shape": (40, 320, 320), "density": 6.0}),
    "clefts": (write_clefts, {"shape": (50, 512, 512), "density": 6.0, "voxel_size": (40, 4, 4), "offset": (0, 0, 0),
                              "defects": True}),
    "cellmap": (write_cellmap, {"shape": (64, 96, 144), "density": 12.0}),
}
OPTIONS = {"defects": "--straight"}  # where another name says what it does


def main(options: argparse.Namespace) -> None:
    """Write the volume."""
    write, defaults = KINDS[options.kind]
    given = {name: getattr(options, name) for name in {name for _, has in KINDS.values() for name in has}}
    for name, value in given.items():
        if value is not None and name not in defaults:
            raise UserError(f"{OPTIONS.get(name, '--' + name.replace('_', '-'))}: not with --kind {options.kind}. Leave it out")
    if options.level:
        defaults = defaults | {"density": LEVELS[options.level].density, "voxel_size": LEVELS[options.level].voxel_size}
    arguments = {name: default if given[name] is None else given[name] for name, default in defaults.items()}
    made = write(options.out, seed=options.seed, **arguments)
    print(options.out if made else f"{options.out} is there already, made with these options")
    if options.kind == "axons":
        for split in ("validation", "test"):
            begin, shape = (" ".join(f"{n:g}" for n in part) for part in evaluation_roi(arguments["shape"], split))
            print(f"{split}: evaluate at {begin}, shape {shape} nm")


def of_kinds(name: str) -> str:
    """The default of an option for each kind that has it."""
    values = {kind: has[name] for kind, (_, has) in KINDS.items() if name in has}
    return "default: " + "; ".join(f"{kind} {' '.join(f'{n:g}' for n in (value if isinstance(value, tuple) else (value,)))}"
                                   for kind, value in values.items())


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("out", metavar="OUT.zarr", help="a new zarr directory; snemi3d, cellmap: a new directory, OUT")
    parser.add_argument("--kind", choices=KINDS, default="neuropil", help="what to make (default: neuropil)")
    parser.add_argument("--shape", type=int, nargs=3, metavar=("Z", "Y", "X"),
                        help=f"voxels of each volume; each takes about 64 bytes of memory ({of_kinds('shape')})")
    parser.add_argument("--voxel-size", type=float, nargs=3, metavar=("Z", "Y", "X"),
                        help=f"nm, 0.5 to 150 ({of_kinds('voxel_size')})")
    parser.add_argument("--density", type=float,
                        help=f"neurites per cubic micrometre that are tried; where space is short, fewer ({of_kinds('density')})")
    parser.add_argument("--level", type=int, choices=LEVELS,
                        help="neuropil that is so much harder to segment, of a density and voxel size of its own unless they are "
                             "given (default: the plain one)")
    parser.add_argument("--seed", type=int, default=0,
                        help="equal seeds and options give the same volume, bit for bit (default: 0)")
    parser.add_argument("--offset", type=float, nargs=3, metavar=("Z", "Y", "X"),
                        help=f"of the first voxel, nm ({of_kinds('offset')})")
    parser.add_argument("--labeled", type=float, help=f"share of the axons that the voxel labels tell of ({of_kinds('labeled')})")
    parser.add_argument("--straight", dest="defects", action="store_const", const=False,
                        help="clefts: no section is shifted, missing, dark or cracked")
    cli.run(main, parser)
