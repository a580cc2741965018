"""Make the unlabeled mask of sparse labels: 1 where a voxel IS labelled, 0 where it is not, in spite of the name.

    python add_unlabeled_mask.py xpress-challenge.zarr --include_zero 0
    python add_unlabeled_mask.py xpress-challenge.zarr --exclude_labels 7 9   # as if nobody had labelled these two

A voxel is labelled if its id is not 0 (unless --include_zero 1), none of --exclude_labels, and the labels mask is not 0 there:
add_labels_mask.py comes first. A mask that is there, made like this, is left as it is; one that was made otherwise is replaced
with --overwrite only.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lsd_experiments.families.xpress import masks as xpress

if __name__ == "__main__":
    xpress.unlabeled_mask_main(__doc__)
