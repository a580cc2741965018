"""Seeded watershed on the distance to the predicted boundaries.

Where the mean of the affinities is above half of their range there is foreground. Seeds are the places that are farther
from the background than all others in a box around them, and grow from high to low distance until they meet.
"""

import numpy as np
from numpy.typing import NDArray

Affinities = NDArray[np.uint8] | NDArray[np.floating]

DIRECT = 3  # channels of the direct neighbours, which come first
MIN_SEED_DISTANCE = 10  # voxels; as published: a default there that no setting reached


def watershed_fragments(affs: Affinities, fragments_in_xy: bool, min_seed_distance: int = MIN_SEED_DISTANCE,
                        parity: bool = False) -> NDArray[np.uint64]:
    """Fragments of a block, numbered 1, 2, ... without gaps.

    Background that has no foreground within ``min_seed_distance`` (as a box of that many voxels) belongs to no
    fragment; all other voxels do.

    :param affs: [c, z, y, x], c >= 3
    :param fragments_in_xy: whether each section has fragments of its own, made from its y and x affinities
    :param parity: as published: three dimensional fragments from the mean of all channels, long range ones too, and
        background far from foreground makes fragments of its own
    :return: [z, y, x]
    """
    foreground = mean_affinity(affs, fragments_in_xy, parity) > 0.5 * affinity_range(affs)
    distance = boundary_distance(foreground, fragments_in_xy)
    highest = _box_maximum(distance, min_seed_distance, fragments_in_xy)
    is_seed = distance == highest if parity else (distance == highest) & (distance > 0)
    labels = _label(is_seed, fragments_in_xy)
    level = distance + 1
    if not parity:
        level[highest == 0] = 0
    return _watershed(level, labels, fragments_in_xy)


def affinity_range(affs: Affinities) -> float:
    """What an affinity of 1 is in ``affs``: 255 in uint8, 1 in floats."""
    return 255.0 if affs.dtype == np.uint8 else 1.0


def mean_affinity(affs: Affinities, fragments_in_xy: bool, parity: bool = False) -> NDArray[np.float32]:
    """[z, y, x] mean over the channels that show boundaries: the direct neighbours', in 2-D of y and x only."""
    assert len(affs) >= DIRECT, f"affinities have {len(affs)} channels, not at least the three of the direct neighbours"
    used = affs[1:DIRECT] if fragments_in_xy else affs if parity else affs[:DIRECT]
    mean: NDArray[np.float32] = used.mean(axis=0, dtype=np.float32)
    return mean


def boundary_distance(foreground: NDArray[np.bool_], fragments_in_xy: bool) -> NDArray[np.int32]:
    """Squared distance of each voxel to the nearest background voxel, in voxels, 0 in the background.

    Beyond the border of the array there is nothing, and no background. An array (in 2-D: a section) without background
    gets one value everywhere.

    :param foreground: [z, y, x]
    :param fragments_in_xy: distances within each section
    """
    from lsd_experiments.fragments.row_kernels import squared_distances

    farthest = sum(size ** 2 for size in foreground.shape)
    assert farthest < 2**30, f"an array of {foreground.shape} voxels is too large"
    squared: NDArray[np.int32] = squared_distances(np.ascontiguousarray(foreground), farthest, fragments_in_xy)
    return squared


def _watershed(level: NDArray[np.int32], seeds: NDArray[np.int32], in_sections: bool) -> NDArray[np.uint64]:
    """Grow ``seeds`` [z, y, x] into all voxels of ``level`` > 0, from high to low levels.

    Sections are flooded one by one: one fits into the processor's cache.
    """
    from lsd_experiments.fragments.kernels import flood

    assert np.prod([size + 2 for size in level.shape]) < 2**31, f"a block of {level.shape} voxels is too large"
    fragments = np.empty(level.shape, np.uint64)
    for part in [slice(z, z + 1) for z in range(len(level))] if in_sections else [slice(None)]:
        flood(level[part], seeds[part], fragments[part])
    return fragments


def _box_maximum(distance: NDArray[np.int32], size: int, fragments_in_xy: bool) -> NDArray[np.int32]:
    from lsd_experiments.fragments.row_kernels import box_maximum

    highest: NDArray[np.int32] = box_maximum(distance, size, fragments_in_xy)
    return highest


def _label(is_seed: NDArray[np.bool_], fragments_in_xy: bool) -> NDArray[np.int32]:
    """Number the connected components (6 neighbours, in 2-D the 4 in the section), from 1."""
    from scipy.ndimage import generate_binary_structure, label

    structure = generate_binary_structure(3, 1)
    if fragments_in_xy:
        structure[[0, 2]] = False
    labels = np.zeros(is_seed.shape, np.int32)
    label(is_seed, structure, output=labels)
    return labels
