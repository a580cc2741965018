"""How samples are varied, as published: gunpowder's nodes, in order, for raw in [0, 1] and labels.

Axes are (z, y, x), in voxels.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import gunpowder as gp


def serial_sections(
    control_point_spacing: Sequence[int] = (4, 4, 10),  # as published; reads as x, y, z, though it is applied to z, y, x
    jitter_sigma: Sequence[float] = (0, 2, 2),
    max_misalign: int = 10,  # of a section in twenty, and of another one with all that follow; 0: sections are aligned
) -> "gp.BatchFilter":
    """Zebra finch's (funkelab/lsd_nm_experiments, 02_train/zebrafinch): of sections that were cut one by one."""
    import gunpowder as gp

    from lsd_experiments.augmentation.elastic import ElasticAugment
    from lsd_experiments.training.keys import RAW

    share = 0.05 if max_misalign else 0.0
    return (
        # Displace a grid of control points, rotate about z, misalign sections.
        ElasticAugment(control_point_spacing, jitter_sigma, prob_slip=share, prob_shift=share, max_misalign=max_misalign)
        # Mirror along each axis, and exchange y and x, which are alike.
        + gp.SimpleAugment(transpose_only=[1, 2])
        # Scale and shift intensities about their mean, within [0, 1]: of each section, since each is stained and lit by itself.
        + gp.IntensityAugment(RAW, scale_min=0.9, scale_max=1.1, shift_min=-0.1, shift_max=0.1, slab=(1, -1, -1))
    )


def isotropic(
    control_point_spacing: Sequence[int] = (40, 40, 40),
    jitter_sigma: Sequence[float] = (2, 2, 2),
    transpose_only: Sequence[int] = (0, 1, 2),
) -> "gp.BatchFilter":
    """FIB-25's and hemi's (funkelab/lsd_experiments, fib25 setups 11 and 12, hemi setups 17 to 26): of cubic voxels."""
    import gunpowder as gp

    from lsd_experiments.augmentation.elastic import ElasticAugment
    from lsd_experiments.training.keys import RAW

    return (
        # Rotate about z.
        ElasticAugment(control_point_spacing, jitter_sigma=(0, 0, 0))
        # Mirror along each axis, and exchange those that are alike: after this, what follows may point anywhere.
        + gp.SimpleAugment(transpose_only=list(transpose_only))
        # Displace a grid of control points, rotate about z again, misalign sections.
        + ElasticAugment(control_point_spacing, jitter_sigma, prob_slip=0.01, prob_shift=0.01, max_misalign=1)
        # Scale and shift intensities about their mean, within [0, 1].
        + gp.IntensityAugment(RAW, scale_min=0.9, scale_max=1.1, shift_min=-0.1, shift_max=0.1)
    )
