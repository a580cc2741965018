"""Distance transforms as targets. Sections of labels are looked at one by one, or ("3d") the volume as a whole.

Where a section or volume has no background at all, there is no distance to it; the published programs take 5 scales for
foreground, and so do these, where scipy would answer with the distance to no particular place.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[Any]
Floats = NDArray[np.float64]

BACKGROUND = -1.0
SEMANTIC_3D = (6.0, 1.0, 1.0)  # voxels' sides relative to x, as published
FAR = 5.0  # scales, where nothing is near; tanh(5) = 0.9999
LARGEST_HOLE = 15  # voxels; larger ones stay
EPSILON = 1e-6
LEVELS = 10


def signed_distance(labels: Labels, mode: str, foreground_scale: float, background_scale: float) -> NDArray[np.float32]:
    """tanh of the distance to the background in scales, minus that to the foreground: [z, y, x] in -1 to 1.

    :param labels: [z, y, x], 0 is background
    :param mode: "2d" (distances in voxels), or "3d" (a section is as thick as 6 voxels)
    """
    inside = labels != 0
    parts = inside[None] if mode == "3d" else inside
    spacing = SEMANTIC_3D[-parts[0].ndim:] if mode == "3d" else None
    values = [_scaled(part, foreground_scale, spacing) - _scaled(~part, background_scale, spacing) for part in parts]
    distance = values[0] if mode == "3d" else np.stack(values)
    return np.tanh(distance).astype(np.float32)


def _scaled(mask: NDArray[np.bool_], scale: float, spacing: Sequence[float] | None) -> Floats:
    from scipy.ndimage import distance_transform_edt

    return np.full(mask.shape, FAR) if mask.all() else np.asarray(distance_transform_edt(mask, spacing)) / scale


def instance_distance(labels: Labels, mode: str, *, padded: bool = False, spacing: Sequence[float] = (1, 1, 1),
                      erosion: int = 0, background_between: bool = False) -> Floats:
    """The distance of each voxel to the boundary of its object, 1 at the object's innermost: [z, y, x].

    Objects are the connected components of ``labels`` [z, y, x]; their holes of up to 15 voxels count as theirs.

    :param mode: "2d" or "3d"
    :param padded: whether what lies outside of the volume is background
    :param spacing: of voxels (z, y, x), in 3d
    :param erosion: voxels by which each object is eroded first
    :param background_between: background is -1, wherever; else 0 in sections (or volumes) that have an object, as published first
    """
    if mode == "3d":
        return _of_objects(labels, padded, spacing, erosion, background_between)
    return np.stack([_of_objects(section, padded, (1, 1), erosion, background_between) for section in labels])


def _of_objects(labels: Labels, padded: bool, spacing: Sequence[float], erosion: int,
                background_between: bool) -> Floats:
    distance = np.full(labels.shape, BACKGROUND)
    if not background_between and labels.any():
        distance[:] = 0
    for box, object_ in _objects(labels, padded):
        energy = _energy(object_, padded, spacing, erosion, [(at.start == 0, at.stop == size) for at, size in
                                                             zip(box, labels.shape, strict=True)])
        there = distance[box]
        np.maximum(there, energy, out=there, where=energy > 0)
    return distance


def _objects(labels: Labels, padded: bool) -> Iterator[tuple[tuple[slice, ...], NDArray[np.bool_]]]:
    """Each connected component (corners count): a box one voxel larger, within the volume, and its mask without small holes."""
    import cc3d
    from scipy.ndimage import find_objects

    components = cc3d.connected_components(np.ascontiguousarray(labels), connectivity=8 if labels.ndim == 2 else 26)
    components = components.astype(np.int32)
    for index, tight in enumerate(find_objects(components), 1):
        box = tuple(slice(max(0, at.start - 1), min(size, at.stop + 1)) for at, size in zip(tight, labels.shape, strict=True))
        mask = components[box] == index
        yield box, _without_holes(mask, box, labels.shape, padded)


def _without_holes(mask: NDArray[np.bool_], box: Sequence[slice], shape: Sequence[int], padded: bool) -> NDArray[np.bool_]:
    from scipy.ndimage import label

    holes, count = label(~mask)
    if not count:
        return mask
    small = np.bincount(holes.ravel()) <= LARGEST_HOLE
    small[0] = False
    for axis, (at, size) in enumerate(zip(box, shape, strict=True)):  # what goes on outside of the box is large
        if padded or at.start > 0:
            small[np.unique(holes.take(0, axis))] = False
        if padded or at.stop < size:
            small[np.unique(holes.take(-1, axis))] = False
    return np.asarray(mask | small[holes])


def _energy(mask: NDArray[np.bool_], padded: bool, spacing: Sequence[float], erosion: int,
            at_border: Sequence[tuple[bool, bool]]) -> Floats:
    """Distance to what is not ``mask``, relative to the greatest; ``padded``: beyond the volume's border, too."""
    from scipy.ndimage import binary_erosion, distance_transform_edt

    pad = [(int(low and padded), int(high and padded)) for low, high in at_border]
    inner = np.pad(mask, pad)
    if erosion:
        inner = binary_erosion(inner, np.ones((3,) * mask.ndim), iterations=erosion, border_value=1)
    if inner.all():
        return np.ones(mask.shape)
    distance = np.asarray(distance_transform_edt(inner, spacing))
    distance = distance[tuple(slice(low, size - high) for (low, high), size in zip(pad, inner.shape, strict=True))]
    return np.asarray(distance / (distance.max() + EPSILON))


def quantized(distance: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    """The class of each distance: 0 below 0, then 1 to 10 for tenths."""
    edges = np.array([-1.0, *(level / LEVELS for level in range(LEVELS)), 1.1])
    return np.asarray(np.digitize(distance, edges) - 1, np.int64)
