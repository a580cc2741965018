"""Plan experiments on a labelled volume of your own: look at the data, write all that training and prediction need, say why.

    python plan.py mylab --raw raw.zarr --labels labels.h5 volumes/labels
    python plan.py mylab --raw sections/ --labels labels.npy --voxel-size 40 8 8 --memory 24

Writes 02_train/NAME/dataset.toml with the experiments baseline, mtlsd and long_range, a picture, 03_predict/NAME.toml, and prints
each number with its reason. A part of the labels is kept back for validation. The rules: docs/planning.md. Next: train.py in
02_train/NAME/mtlsd. What is there is not written over unless --overwrite says so.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lsd_experiments.families.lsd.planning import command

if __name__ == "__main__":
    command.main(__doc__, experiments=Path(__file__).resolve().parent)
