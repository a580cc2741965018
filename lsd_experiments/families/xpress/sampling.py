"""How samples are varied by the challenge's baseline: gunpowder's nodes, in order, for raw in [0, 1] and labels.

Numbers: trivoldus28/xray-challenge-eval, segmentation/networks/reference_setup, commit 52f8c45. Axes are (z, y, x), in voxels.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import gunpowder as gp


def tomography(
    control_point_spacing: Sequence[int] = (10, 10, 10), jitter_sigma: Sequence[float] = (2, 2, 2)
) -> "gp.BatchFilter":
    """Of a volume without sections, in which all axes are alike, and noise is."""
    import gunpowder as gp

    from lsd_experiments.augmentation.elastic import ElasticAugment
    from lsd_experiments.training.keys import RAW

    return (
        # Displace a grid of control points, rotate about z.
        ElasticAugment(control_point_spacing, jitter_sigma, subsample=2)
        # Mirror along each axis, and exchange them.
        + gp.SimpleAugment(transpose_only=[0, 1, 2])
        # Scale and shift intensities about their mean, within [0, 1].
        + gp.IntensityAugment(RAW, scale_min=0.9, scale_max=1.1, shift_min=-0.1, shift_max=0.1)
        + gp.NoiseAugment(RAW, var=0.01)
    )
