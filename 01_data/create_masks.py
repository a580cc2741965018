"""Make the masks that training asks for: which voxels of the labels count.

    python create_masks.py                          # volumes/labels/labels_mask of all volumes that were fetched
    python create_masks.py sample.zarr --exclude 7  # of a volume anywhere, without id 7
    python create_masks.py sample.zarr --unlabeled  # volumes/labels/unlabeled_mask: 1 where a voxel is labelled

A labels mask is 1 where labels count: everywhere, but for the ids that a dataset says are no neurons (hemi: 2^64 - 3).
A mask that is there, made like this, is left as it is; interrupted, the command starts again at the volume it was at.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lsd_experiments.masks import command

if __name__ == "__main__":
    data_dir = Path(__file__).resolve().parent
    command.main(__doc__, data_dir, experiments=data_dir.parent / "02_train")
