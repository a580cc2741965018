"""Score a segmentation on skeletons: expected run length, splits and merges, Rand, VOI, and the XPRESS challenge's scores.

    python evaluate_skeletons.py output.zarr skeletons.npz --segmentation-dataset volumes/segmentation_55 --mode validation
    python evaluate_skeletons.py --graph xpress_validation.toml skeletons.npz [--mincut]

Positions are in nm. Nodes outside of the region are left out, and what is connected inside is one skeleton. With --graph, all
thresholds of a pipeline are scored without writing a segmentation. docs/evaluation.md has the definitions.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lsd_experiments import cli
from lsd_experiments.families.xpress.evaluation import main, parser

if __name__ == "__main__":
    cli.run(main, parser(__doc__))
