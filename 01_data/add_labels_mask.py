"""Make the labels mask of sparse labels: volumes/training_gt_labels_mask, 1 on every voxel of volumes/training_gt_labels.

    python add_labels_mask.py xpress-challenge.zarr

It says where somebody annotated: what lies outside of the labels has no mask, and training takes that as 0. A mask that is
there, made like this, is left as it is; one that was made otherwise is replaced with --overwrite only.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lsd_experiments.families.xpress import masks as xpress

if __name__ == "__main__":
    xpress.labels_mask_main(__doc__)
