"""Affinities as PyTorch Connectomics trains them: 1 where a voxel and its neighbour have one label that is not 0.

Three channels, of the neighbours in z, y and x. ``v0`` and ``v1`` look at the lower neighbour, ``offset - d``, like gunpowder and
waterz; ``v2`` compares the voxels ``d`` below and ``d`` above, whatever is between them. At the lower faces, where there is no
neighbour, ``v0`` takes a voxel for its own neighbour, and so does ``v1``, which takes the voxel at the face for all beyond it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

DIRECT = (1, 1, 1)


def affinities(labels: NDArray[Any], distances: Sequence[int] | None = None, centred: bool = False) -> NDArray[np.float32]:
    """Affinities of ``labels`` [z, y, x], or [y, x] with two distances: [c, z, y, x] float32, 0 or 1.

    :param distances: voxels along each axis (default: 1)
    :param centred: as ``v2``
    """
    affs = np.empty((labels.ndim, *labels.shape), np.float32)
    for axis, distance in enumerate(distances or DIRECT[:labels.ndim]):
        places = np.arange(labels.shape[axis])
        below, above = np.maximum(places - distance, 0), np.minimum(places + distance, labels.shape[axis] - 1)
        neighbour = np.take(labels, below, axis)
        here = np.take(labels, above, axis) if centred else labels
        affs[axis] = (here == neighbour) & (here > 0)
    return affs
