"""Fetch the published training volumes.

    python fetch_data.py                                            # the first volume of each of the paper's datasets
    python fetch_data.py --dataset fib25 --all                      # all four of FIB-25
    python fetch_data.py --volume gt_z734-884_y9561-9711_x563-713.zarr
    python fetch_data.py --all --dry-run                            # how much it would be
    python fetch_data.py --dataset xpress                           # raw, labels and skeletons of the challenge's training volume
    python fetch_data.py --dataset xpress --all                     # its validation and test volumes, too

Volumes come from the public bucket of datasets.toml, without credentials, to funke/<dataset>/training/, where train.py finds
them; the files of XPRESS, which is fetched if it is named, to xpress/, with their SHA-256 in SHA256SUMS. The same command goes
on with what was interrupted, and does nothing where all is there.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lsd_experiments.fetching import command

if __name__ == "__main__":
    command.data_main(__doc__)
