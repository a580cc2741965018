"""All that is done to one block of affinities to get its fragments; arrays in, arrays out."""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.agglomeration.agglomerating import unite
from lsd_experiments.arrays import as_mask
from lsd_experiments.fragments.watershed import (
    FOREGROUND_THRESHOLD,
    MIN_SEED_DISTANCE,
    Affinities,
    affinity_range,
    mean_affinity,
    watershed_fragments,
)

EPSILON_MERGE_FUNCTION = "hist_quant_25"  # as published


def extract_fragments(affs: Affinities, fragments_in_xy: bool, *, mask: NDArray[np.generic] | None = None,
                      filter_fragments: float = 0.0, epsilon_agglomerate: float = 0.0,
                      replace_sections: Collection[int] = (), min_seed_distance: int = MIN_SEED_DISTANCE,
                      foreground_threshold: float = FOREGROUND_THRESHOLD, parity: bool = False) -> NDArray[np.uint64]:
    """Fragments of a block; their ids have gaps.

    :param affs: [c, z, y, x], c >= 3
    :param mask: [z, y, x]; where it is 0 there is boundary, and no fragment
    :param filter_fragments: fragments whose mean affinity is below this (0 to 1) are removed
    :param epsilon_agglomerate: fragments are agglomerated up to this threshold; 0 is not at all
    :param foreground_threshold: see :func:`watershed_fragments`
    :param replace_sections: sections (z in this block) without fragments
    :param parity: as published, see :func:`watershed_fragments`; and in 2-D the filter takes the mean of z and y
        affinities
    :return: [z, y, x]
    """
    if mask is not None:
        counts = as_mask(mask)
        affs = np.where(counts, affs, affs.dtype.type(0))
    fragments = watershed_fragments(affs, fragments_in_xy, min_seed_distance, parity, foreground_threshold)
    if mask is not None:
        fragments[~counts] = 0
    if filter_fragments > 0:
        mean = affs[:2].mean(axis=0, dtype=np.float32) if parity and fragments_in_xy else \
            mean_affinity(affs, fragments_in_xy, parity)
        fragments = remove_fragments(fragments, mean, filter_fragments * affinity_range(affs))
    if epsilon_agglomerate > 0:
        fragments = unite(affs, fragments, EPSILON_MERGE_FUNCTION, epsilon_agglomerate)
    for section in replace_sections:
        fragments[section] = 0
    return fragments


def remove_fragments(fragments: NDArray[np.uint64], values: NDArray[np.float32], below: float) -> NDArray[np.uint64]:
    """``fragments`` [z, y, x] without those over which the mean of ``values`` [z, y, x] is less than ``below``."""
    ids = fragments.ravel().astype(np.int64)
    means = np.bincount(ids, weights=values.ravel()) / np.maximum(np.bincount(ids), 1)
    kept = means >= below
    kept[0] = False
    return np.where(kept[ids].reshape(fragments.shape), fragments, np.uint64(0))
