"""Train the LSD network until iteration N, from the newest checkpoint that exists.

    python train.py 400000
"""

from lsd_experiments.datasets import ZEBRAFINCH as DATASET
from lsd_experiments.training import main


def targets(example):
    """LSDs, of labels whose boundaries are left as they are."""
    return example.add_lsds()


if __name__ == "__main__":
    main(DATASET, targets)
