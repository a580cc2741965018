"""How far labels are padded with zeros, so that a random location may reach over their edge.

A sample's output may be rotated about z and must keep its context: half the output and the context in z, half the
output's diagonal, up to the next voxel, and the context in y and x::

    pad_z = out_z / 2 + context_z        pad_yx = ceil(out_yx / 2 * sqrt(2)) + context_yx
"""

import math
from collections.abc import Sequence

from lsd_experiments.datasets import Dataset
from lsd_experiments.geometry import Voxels
from lsd_experiments.networks.network import Network
from lsd_experiments.prediction.autocontext import takes_lsds


def label_padding(dataset: Dataset, network: Network, output_shape: Sequence[int]) -> Voxels:
    """Voxels (z, y, x) by which labels and their mask are padded on each side, for targets of ``output_shape``."""
    if dataset.label_padding is not None:
        return dataset.label_padding
    context = target_context(dataset, network)
    stretch = (1.0, math.sqrt(2), math.sqrt(2))
    return tuple(math.ceil(size / 2 * by) + more for size, by, more in zip(output_shape, stretch, context, strict=True))


def target_context(dataset: Dataset, network: Network) -> Voxels:
    """Voxels (z, y, x) of labels that the targets need around the output: 3 sigma for LSDs, an offset for affinities.

    As published, networks that take LSDs count as if they were trained on them, too.
    """
    reach = [0, 0, 0]
    if takes_lsds(network) or any(head.name == "lsds" for head in network.heads):
        reach = [math.ceil(3 * dataset.sigma / size) for size in dataset.voxel_size]
    for head in network.heads:
        if head.name == "affs":
            offsets = dataset.neighborhood(head.channels)
            reach = [max(r, *(abs(offset[axis]) for offset in offsets)) for axis, r in enumerate(reach)]
    return tuple(reach)
