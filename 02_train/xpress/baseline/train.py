"""Train the XPRESS baseline until iteration N, from the newest checkpoint that exists.

    python train.py 400000
"""

from lsd_experiments.datasets import XPRESS as DATASET
from lsd_experiments.training import main


def targets(example):
    """Affinities, of labels whose boundaries are grown."""
    return example.grow_boundary() + example.add_affinities()


if __name__ == "__main__":
    main(DATASET, targets)
