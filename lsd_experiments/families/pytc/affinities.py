"""Affinities as PyTorch Connectomics trains them: 1 where a voxel and its neighbour have one label that is not 0.

Three channels, of the neighbours in z, y and x. ``v0`` and ``v1`` look at the lower neighbour, ``offset - d``, like gunpowder and
waterz; ``v2`` compares the voxels ``d`` below and ``d`` above, whatever is between them. At the lower faces, where there is no
neighbour, ``v0`` takes a voxel for its own neighbour, and so does ``v1``, which takes the voxel at the face for all beyond it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.compiled import compiled

DIRECT = (1, 1, 1)


def affinities(labels: NDArray[Any], distances: Sequence[int] | None = None, centred: bool = False) -> NDArray[np.float32]:
    """Affinities of ``labels`` [z, y, x], or [y, x] with two distances: [c, z, y, x] float32, 0 or 1.

    :param distances: voxels along each axis (default: 1)
    :param centred: as ``v2``
    """
    affs = np.empty((labels.ndim, *labels.shape), np.float32)
    solid = np.ascontiguousarray(labels).reshape((1,) * (3 - labels.ndim) + labels.shape)
    for axis, distance in enumerate(distances or DIRECT[:labels.ndim]):
        step = np.zeros(3, np.int64)
        step[axis - labels.ndim] = distance
        _compare(solid, step, step if centred else 0 * step, affs[axis].reshape(solid.shape))
    return affs


@compiled
def _compare(labels: Any, below: Any, above: Any, affs: Any) -> None:
    """Compare the labels ``below`` and ``above`` each voxel, which stop at the faces."""
    depth, height, width = labels.shape
    for z in range(depth):
        z0, z1 = max(z - below[0], 0), min(z + above[0], depth - 1)
        for y in range(height):
            y0, y1 = max(y - below[1], 0), min(y + above[1], height - 1)
            for x in range(width):
                here = labels[z1, y1, min(x + above[2], width - 1)]
                affs[z, y, x] = 1 if here > 0 and here == labels[z0, y0, max(x - below[2], 0)] else 0
