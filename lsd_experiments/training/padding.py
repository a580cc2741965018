"""How far labels are padded with zeros, so that a random location may reach over their edge.

A sample's output may be rotated about z and must keep its context: half the output and the context in z, half the
output's diagonal, up to the next voxel, and the context in y and x::

    pad_z = out_z / 2 + context_z        pad_yx = ceil(out_yx / 2 * sqrt(2)) + context_yx
"""

import math
from collections.abc import Sequence

from lsd_experiments.geometry import Voxels
from lsd_experiments.training.experiment import Experiment


def label_padding(experiment: Experiment, voxel_size: Sequence[float], output_shape: Sequence[int]) -> Voxels:
    """Voxels (z, y, x) by which labels and their mask are padded on each side, for targets of ``output_shape``."""
    if experiment.label_padding is not None:
        return experiment.label_padding
    targets = [*experiment.targets]
    if experiment.first_network:
        targets.append(experiment.first_network.target)  # as published: as if the second network were trained towards it, too
    context = [max(reach) for reach in zip(*(target.context(voxel_size) for target in targets), strict=True)]
    stretch = (1.0, math.sqrt(2), math.sqrt(2))
    return tuple(math.ceil(size / 2 * by) + more for size, by, more in zip(output_shape, stretch, context, strict=True))
