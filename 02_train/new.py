"""Make an experiment of your own: the scripts of another one, on volumes of yours.

    python new.py mylab/mtlsd --like fib25/mtlsd --voxel-size 8 8 8 --data volume.zarr
    python new.py mylab/baseline --like fib25/baseline            # one more on the same dataset
    python new.py /data/mylab/mtlsd --like fib25/mtlsd --data /data/a.zarr /data/b.zarr

Writes DATASET/VARIANT with mknet.py, train.py, predict.py, predict_scan.py, view_batch.py and segment.toml, a configuration of
03_predict/run.py; and DATASET/dataset.toml, if it is a new dataset. The volumes are looked at first: their datasets, voxel size,
types and range. What is there is never written over.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lsd_experiments.datasets import new_command

if __name__ == "__main__":
    new_command.main(__doc__, experiments=Path(__file__).resolve().parent)
