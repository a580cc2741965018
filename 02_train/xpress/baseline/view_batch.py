"""Show snapshots of the training in neuroglancer.

    python view_batch.py -f snapshots/batch_1.hdf
"""

from pathlib import Path

from lsd_experiments.viewing.view_batch import main

if __name__ == "__main__":
    main(__doc__, Path(__file__).resolve().parent)
