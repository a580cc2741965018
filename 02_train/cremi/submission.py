"""Make what the CREMI challenge takes, and check it before it is sent.

    python submission.py make OUT.zarr volumes/components A+.hdf [--task clefts|neuron_ids] [--volume cropped|padded]
    python submission.py check A+.hdf

The labels cover the test volume, A+, B+ or C+, in its voxels of 40 x 4 x 4 nm. check names all that is wrong, or prints Pass.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from lsd_experiments.families.cremi import submission_command

if __name__ == "__main__":
    submission_command.main(__doc__)
