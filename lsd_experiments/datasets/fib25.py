"""FIB-25: FIB-SEM of the Drosophila medulla, 8 x 8 x 8 nm; four training volumes of about 160 cubic micrometres.

Numbers: the published training scripts (funkelab/lsd_experiments, fib25 setups 11 and 12, of maximal label padding).
"""

from lsd_experiments.datasets.dataset import Dataset, Elastic

FIB25 = Dataset(
    name="fib25",
    voxel_size=(8, 8, 8),
    volumes=("trvol-250-1.zarr", "trvol-250-2.zarr", "tstvol-520-1.zarr", "tstvol-520-2.zarr"),
    probabilities=(0.05, 0.05, 0.45, 0.45),
    sigma=80,
    elastic=Elastic(control_point_spacing=(40, 40, 40), jitter_sigma=(0, 0, 0)),
    transpose_axes=(0, 1, 2),
    elastic_after=Elastic(
        control_point_spacing=(40, 40, 40), jitter_sigma=(2, 2, 2), prob_slip=0.01, prob_shift=0.01, max_misalign=1
    ),
    intensity_per_section=False,
    grow_boundary_in_xy=False,
    lsd_weight="foreground_or_masked_out",
    affs_masked=False,
    long_range=(
        (-3, 0, 0),
        (0, -3, 0),
        (0, 0, -3),
        (-5, 0, 0),
        (0, -5, 0),
        (0, 0, -5),
        (-13, 0, 0),
        (0, -13, 0),
        (0, 0, -13),
    ),
)
