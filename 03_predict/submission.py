"""Make what the XPRESS challenge takes, and check it before it is sent.

    python submission.py make SEG.zarr volumes/segmentation_55 submission.h5 [--mode test|validation] [--zip]
    python submission.py check submission.h5

The segmentation has voxels of 33 nm, of which every third is taken, or of 99 nm. check names all that is wrong, or prints Pass.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lsd_experiments.families.xpress.submission.command import main

if __name__ == "__main__":
    main(__doc__)
