"""XPRESS: axons of mouse white matter in x-ray holographic nano-tomography, 33 x 33 x 33 nm; one sparsely labelled volume.

Numbers: the challenge's baseline (trivoldus28/xray-challenge-eval, segmentation/networks/reference_setup, commit 52f8c45).
Affinities to neighbours at 3, 9 and 27 voxels are an auxiliary task: predictions keep the nearest ones.
"""

from lsd_experiments.datasets.dataset import BY_SUM, Dataset, Elastic

XPRESS = Dataset(
    name="xpress",
    voxel_size=(33, 33, 33),
    volumes=("xpress-challenge.zarr",),
    fetched_to=".",
    sigma=330,  # no published network of the challenge has LSDs
    elastic=Elastic(control_point_spacing=(10, 10, 10), jitter_sigma=(2, 2, 2), subsample=2),
    transpose_axes=(0, 1, 2),
    elastic_after=None,
    intensity_per_section=False,
    noise_variance=0.01,
    grow_boundary_in_xy=False,
    lsd_weight="labels_mask",
    affs_masked=True,
    long_range=(
        (-3, 0, 0),
        (0, -3, 0),
        (0, 0, -3),
        (-9, 0, 0),
        (0, -9, 0),
        (0, 0, -9),
        (-27, 0, 0),
        (0, -27, 0),
        (0, 0, -27),
    ),
    min_masked=0.1,
    label_padding=(32, 32, 32),
    loss_divisor=BY_SUM,
    raw="volumes/training_raw",
    labels="volumes/training_gt_labels",
    labels_mask="volumes/training_gt_labels_mask",
    unlabeled_mask="volumes/training_gt_unlabeled_mask",
    learning_rate=2.5e-5,
    save_every=20_000,
    snapshot_every=5_000,
)
