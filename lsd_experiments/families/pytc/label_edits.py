"""What is done to the labels of a sample before its targets are made: new numbers, wider boundaries, dilation."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.compiled import compiled
from lsd_experiments.errors import UserError

Labels = NDArray[Any]

TABLE = 2**22  # ids below this are renumbered by a table of them all


def relabel(labels: Labels) -> Labels:
    """``labels``, of non-negative integers in any shape, as int32 numbered 1, 2, ... in ascending order of their ids; 0 stays."""
    import fastremap

    most = int(labels.max(initial=0))
    if most < TABLE:
        numbered = np.empty(labels.shape, np.int32)
        _number(np.ascontiguousarray(labels).reshape(-1), np.zeros(most + 1, np.int32), numbered.reshape(-1))
        return numbered
    ids = fastremap.unique(labels)
    ids = ids[ids > 0]
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
    if i < 0:
        return -i
    return 2 * (size - 1) - i if i >= size else i


@compiled
def _find_several(labels: Any, steps: int, several: Any) -> None:
    """Compare the smallest with the greatest id of a window: along x, then along y. Zeros are made the greatest of all."""
    depth, height, width = labels.shape
    row = np.empty(width + 2 * steps, np.uint64)
    low, high = np.empty((height, width), np.uint64), np.empty((height, width), np.uint64)
    one = np.uint64(1)
    for z in range(depth):
        for y in range(height):
            for x in range(-steps, width + steps):
                row[x + steps] = labels[z, y, _mirrored(x, width)]
            for x in range(width):
                low[y, x], high[y, x] = row[x] - one, row[x]
            for tap in range(1, 2 * steps + 1):
                for x in range(width):
                    low[y, x] = min(low[y, x], row[x + tap] - one)
                    high[y, x] = max(high[y, x], row[x + tap])
        for y in range(height):
            least, most = low[y].copy(), high[y].copy()
            for tap in range(-steps, steps + 1):
                j = _mirrored(y + tap, height)
                for x in range(width):
                    least[x] = min(least[x], low[j, x])
                    most[x] = max(most[x], high[j, x])
            for x in range(width):
                several[z, y, x] = most[x] > least[x] + one and most[x] > 0


@compiled
def _number(labels: Any, table: Any, numbered: Any) -> None:
    """Write to ``numbered`` the place of each id among those that occur, by ``table``, which is zeros, one for each id."""
    for i in range(len(labels)):
        table[labels[i]] = 1
    count = 0
    for id_ in range(1, len(table)):
        if table[id_]:
            count += 1
            table[id_] = count
    table[0] = 0
    for i in range(len(labels)):
        numbered[i] = table[labels[i]]
