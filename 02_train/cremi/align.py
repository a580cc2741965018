"""Make a crooked stack of sections straight, and bring what was predicted there back to it.

    python align.py A.hdf A_aligned.zarr
    python align.py --undo PREDICTION A_aligned.zarr A_prediction.hdf

Sections are shifted and turned (--model), missing ones replaced, cracks closed; labels are carried along. What was done is in
A_aligned.zarr/alignment.json, so that it can be undone: labels come back by nearest neighbour, probabilities and affinities by
interpolation, to the voxels of the stack; <dataset>_source_mask is 0 where nothing came back. docs/cremi.md tells how it works.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from lsd_experiments.alignment import command

if __name__ == "__main__":
    command.main(__doc__)
