"""Seeded watershed on the distance to the predicted boundaries.

Where the mean of the affinities is above a threshold, half of their range as published, there is foreground. Seeds are
the places that are farther from the background than all others in a box around them, and grow from high to low distance
until they meet.
"""

import numpy as np
from numpy.typing import NDArray

Affinities = NDArray[np.uint8] | NDArray[np.floating]

DIRECT = 3  # channels of the direct neighbours, which come first
FOREGROUND_THRESHOLD = 0.5
MIN_SEED_DISTANCE = 10  # voxels; as published: a default there that no setting reached


def watershed_fragments(affs: Affinities, fragments_in_xy: bool, min_seed_distance: int = MIN_SEED_DISTANCE,
                        parity: bool = False, foreground_threshold: float = FOREGROUND_THRESHOLD) -> NDArray[np.uint64]:
    """Fragments of a block, numbered 1, 2, ... without gaps.

    Background that has no foreground within ``min_seed_distance`` (as a box of that many voxels) belongs to no
    fragment; all other voxels do.

    :param affs: [c, z, y, x], c >= 3
    :param fragments_in_xy: whether each section has fragments of its own, made from its y and x affinities
    :param parity: as published: three dimensional fragments from the mean of all channels, long range ones too, and
        background far from foreground makes fragments of its own
    :param foreground_threshold: the mean affinity, 0 to 1, above which a voxel is foreground
    :return: [z, y, x]
    """
    fragments = np.empty(affs.shape[1:], np.uint64)
    parts = [slice(z, z + 1) for z in range(len(fragments))] if fragments_in_xy else [slice(None)]
    count = 0
    for part in parts:  # a section at a time fits into the processor's cache
        foreground = mean_affinity(affs[:, part], fragments_in_xy, parity) > foreground_threshold * affinity_range(affs)
        count += _fill(foreground, min_seed_distance, parity, count, fragments[part])
    return fragments


def _fill(foreground: NDArray[np.bool_], min_seed_distance: int, parity: bool, before: int,
          fragments: NDArray[np.uint64]) -> int:
    """Write the fragments of ``foreground`` to ``fragments``, numbered from ``before + 1``; how many there are."""
    from lsd_experiments.fragments.kernels import flood
    from lsd_experiments.fragments.row_kernels import box_maximum

    distance = boundary_distance(foreground)
    highest = box_maximum(distance, min_seed_distance)
    seeds, count = _label(distance == highest if parity else (distance == highest) & (distance > 0))
    level = distance
    level += 1
    if not parity:
        level[highest == 0] = 0
    del highest  # memory that the flood needs
    flood(level, seeds, before, fragments)
    return count


def affinity_range(affs: Affinities) -> float:
    """What an affinity of 1 is in ``affs``: 255 in uint8, 1 in floats."""
    return 255.0 if affs.dtype == np.uint8 else 1.0


def mean_affinity(affs: Affinities, fragments_in_xy: bool, parity: bool = False) -> NDArray[np.float32]:
    """[z, y, x] mean over the channels that show boundaries: the direct neighbours', in 2-D of y and x only."""
    assert len(affs) >= DIRECT, f"affinities have {len(affs)} channels, not at least the three of the direct neighbours"
    used = affs[1:DIRECT] if fragments_in_xy else affs if parity else affs[:DIRECT]
    mean: NDArray[np.float32] = used.mean(axis=0, dtype=np.float32)
    return mean


def boundary_distance(foreground: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Squared distance of each voxel to the nearest background voxel, in voxels, 0 in the background.

    Beyond the border of the array there is nothing, and no background. An array without background gets one value everywhere.

    :param foreground: [z, y, x]
    """
    from lsd_experiments.fragments.row_kernels import squared_distances

    assert np.prod([size + 2 for size in foreground.shape]) < 2**31, f"a block of {foreground.shape} voxels is too large"
    farthest = sum(size ** 2 for size in foreground.shape)
    assert farthest < 2**30, f"a block of {foreground.shape} voxels is too long"
    if foreground.all():
        return np.full(foreground.shape, farthest, np.int32)
    squared: NDArray[np.int32] = squared_distances(np.ascontiguousarray(foreground), farthest)
    return squared


def _label(is_seed: NDArray[np.bool_]) -> tuple[NDArray[np.int32], int]:
    """The connected components (6 neighbours), numbered from 1, and how many there are."""
    from scipy.ndimage import label

    labels = np.zeros(is_seed.shape, np.int32)
    return labels, int(label(is_seed, output=labels))
