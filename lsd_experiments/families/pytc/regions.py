"""Targets that say what a region is: small objects, and the contours between instances. Sections one by one."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.families.pytc.label_edits import has_several

Labels = NDArray[Any]


def small_objects(labels: Labels, size: int, z_ratio: int) -> NDArray[np.bool_]:
    """Where an object's cut through a section (any of the three directions) is smaller than ``size`` voxels; [z, y, x].

    In cuts along z, which has fewer voxels, the limit is ``size // z_ratio``.
    """
    found = np.zeros(labels.shape, np.bool_)
    for axis, limit in enumerate((size, size // z_ratio, size // z_ratio)):
        for cut, where in zip(np.moveaxis(labels, axis, 0), np.moveaxis(found, axis, 0), strict=True):
            if cut.any():
                where |= _small(cut, limit)
    return found


def _small(cut: Labels, limit: int) -> NDArray[np.bool_]:
    import cc3d

    components = cc3d.connected_components(np.ascontiguousarray(cut), connectivity=8)
    small = np.bincount(components.ravel()) < limit
    small[0] = False
    return np.asarray(small[components])


def contours(labels: Labels, width: int, with_background: bool) -> NDArray[np.bool_]:
    """The boundaries of instances, [z, y, x].

    :param width: voxels by which they are wider, on each side
    :param with_background: those against the background, too; else where the square of ``2 width + 1`` voxels has two ids
    """
    if not with_background:
        return has_several(labels, width)
    edge = np.zeros(labels.shape, np.bool_)
    for axis in (1, 2):
        below, above = _neighbours(labels, axis)
        edge |= below != above
    return _dilated(edge, width)


def _neighbours(labels: Labels, axis: int) -> Iterator[Labels]:
    """Those one below and one above; a voxel at the border is its own."""
    size = labels.shape[axis]
    for step in (-1, 1):
        yield np.take(labels, np.clip(np.arange(size) + step, 0, size - 1), axis)


def _dilated(mask: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    from scipy.ndimage import maximum_filter

    wide: NDArray[np.bool_] = maximum_filter(mask, (1, 2 * width + 1, 2 * width + 1)) if width else mask
    return wide
