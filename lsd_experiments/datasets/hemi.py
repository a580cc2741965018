"""Hemi-brain: FIB-SEM of the Drosophila central brain, 8 x 8 x 8 nm; eight training volumes of about 450 cubic micrometres.

Numbers: the published training scripts (funkelab/lsd_experiments, hemi setups 17 to 26, of maximal label padding), which
augment as FIB-25's do. Some of them take labels from ``volumes/labels/cell_ids``; the published create_masks.py, and ours,
from neuron_ids. Labels of 2^64 - 3 are no neurons: ``create_masks.py`` takes them out of the labels mask.
"""

from dataclasses import replace

from lsd_experiments.datasets.fib25 import FIB25

HEMI = replace(
    FIB25,
    name="hemi",
    volumes=("*.zarr",),
    probabilities=None,
    lsd_weight="foreground",
    affs_masked=True,
    background_ids=(2**64 - 3,),  # as 01_data/create_masks.py of funkelab/lsd_nm_experiments
)
