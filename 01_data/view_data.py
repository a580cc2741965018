"""Look at training volumes in a browser: raw, labels, and the mask of what was annotated; or any datasets, and skeletons.

    python view_data.py                                # the first volume that was fetched
    python view_data.py -d funke/zebrafinch/training   # all volumes in a directory, the first visible
    python view_data.py -f sample.zarr                 # a volume anywhere
    python view_data.py --file a.zarr --datasets volumes/raw volumes/affs --file b.zarr --datasets volumes/segmentation_0.550
    python view_data.py --file xpress-challenge.zarr --graphs XPRESS_training_skels.npz

Prints the URL to open, and stays until Ctrl-C.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lsd_experiments.viewing import view_data

if __name__ == "__main__":
    view_data.main(__doc__, data_dir=Path(__file__).resolve().parent)
