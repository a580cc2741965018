"""Zebra finch (j0126): serial block-face EM, 20 x 9 x 9 nm; 33 training volumes of about 200 cubic micrometres.

Numbers: the published training scripts (funkelab/lsd_nm_experiments, 02_train/zebrafinch).
"""

from lsd_experiments.datasets.dataset import Dataset, Elastic

ZEBRAFINCH = Dataset(
    name="zebrafinch",
    voxel_size=(20, 9, 9),
    volumes=("*.zarr",),
    sigma=120,
    elastic=Elastic(
        control_point_spacing=(4, 4, 10),  # as published; reads as x, y, z, though it is applied to z, y, x
        jitter_sigma=(0, 2, 2),
        prob_slip=0.05,
        prob_shift=0.05,
        max_misalign=10,
    ),
    transpose_axes=(1, 2),
    elastic_after=None,
    intensity_per_section=True,
    grow_boundary_in_xy=True,
    lsd_weight="labels_mask",
    affs_masked=True,
    long_range=(
        (-3, 0, 0),
        (0, -3, 0),
        (0, 0, -3),
        (-5, 0, 0),
        (0, -9, 0),
        (0, 0, -9),
        (-15, 0, 0),
        (0, -27, 0),
        (0, 0, -27),
    ),
)
