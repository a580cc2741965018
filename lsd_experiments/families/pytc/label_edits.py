"""What is done to the labels of a sample before its targets are made: new numbers, wider boundaries, dilation."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.compiled import compiled
from lsd_experiments.errors import UserError

Labels = NDArray[Any]


def relabel(labels: Labels) -> Labels:
    """``labels``, of non-negative integers in any shape, as int32 numbered 1, 2, ... in ascending order of their ids; 0 stays."""
    import fastremap

    ids = fastremap.unique(labels)
    ids = ids[ids > 0]
    if len(ids) and ids[-1] == len(ids):
        return labels.astype(np.int32)
    table = dict(zip(ids.tolist(), range(1, len(ids) + 1), strict=True)) | {0: 0}
    return np.asarray(fastremap.remap(labels, table)).astype(np.int32)


def widen_boundaries(labels: Labels, steps: int) -> Labels:
    """``labels`` [z, y, x] with 0 where the square of ``2 steps + 1`` voxels around in the section has two or more ids.

    0 is no id: the boundary between an object and the background stays where it is. Beyond the border sections go on as in a
    mirror that stands on the outermost voxels. This is LABEL_EROSION as published.
    """
    return np.where(has_several(labels, steps), labels.dtype.type(0), labels)


def has_several(labels: Labels, steps: int) -> NDArray[np.bool_]:
    """Where the square of ``2 steps + 1`` voxels around in the section has two or more ids; 0 is none."""
    if max(labels.shape[1:], default=0) and steps >= min(labels.shape[1:]):
        raise UserError(f"a square of {2 * steps + 1} voxels is too wide for sections of {labels.shape[1:]}. Take a smaller one")
    several = np.empty(labels.shape, np.bool_)
    _find_several(np.ascontiguousarray(labels), steps, several)
    return several


def dilate(labels: Labels, steps: int) -> Labels:
    """``labels`` [z, y, x], each voxel the greatest id in the square of ``2 steps + 1`` voxels around it in its section."""
    from scipy.ndimage import maximum_filter

    side = 2 * steps + 1
    dilated: Labels = maximum_filter(labels, size=(1, side, side), mode="nearest")
    return dilated


@compiled(inline="always")
def _mirrored(i: Any, size: Any) -> Any:
    """The place inside of ``size`` that the place ``i``, outside by less than ``size``, is the image of."""
    if size == 1:
        return 0
    if i < 0:
        return -i
    return 2 * (size - 1) - i if i >= size else i


@compiled
def _find_several(labels: Any, steps: int, several: Any) -> None:
    """Compare the smallest with the greatest id of a window: along x, then along y."""
    depth, height, width = labels.shape
    low, high = np.empty((height, width), labels.dtype), np.empty((height, width), labels.dtype)
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                least, most = labels[z, y, x], labels[z, y, x]
                for d in range(-steps, steps + 1):
                    value = labels[z, y, _mirrored(x + d, width)]
                    if value > 0:
                        least = value if least == 0 else min(least, value)
                        most = max(most, value)
                low[y, x], high[y, x] = least, most
        for y in range(height):
            for x in range(width):
                least, most = low[y, x], high[y, x]
                for d in range(-steps, steps + 1):
                    j = _mirrored(y + d, height)
                    if high[j, x] > 0:
                        least = low[j, x] if least == 0 else min(least, low[j, x])
                        most = max(most, high[j, x])
                several[z, y, x] = least != most
