"""Train the ACRLSD network until iteration N, from the newest checkpoint that exists.

    python train.py 400000
"""

from dataclasses import replace

from lsd_experiments.datasets import HEMI
from lsd_experiments.training import main

DATASET = replace(HEMI, transpose_axes=(1, 2))  # as published, for this variant alone


def targets(example):
    """Affinities, of labels whose boundaries are grown."""
    return example.grow_boundary() + example.add_affinities()


if __name__ == "__main__":
    main(DATASET, targets, lsds_setup="../lsd")
