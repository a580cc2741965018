"""Affinities to segmentations as zudi-lin's waterz has it, by that program's names, on what is shipped compiled.

    segmentations = segment(affs, [0.1, 0.3, 0.6], "aff50_his256")

Affinities are [c, z, y, x], uint8, or floats in 0 to 1. Thresholds are of scores, 1 - affinity: what scores below one is united.

| name there | merge function |
|---|---|
| ``aff<Q>_his256`` | ``hist_quant_<Q>_initmax``: of each pair of fragments only the greatest affinity counts at first |
| ``max<K>`` | ``mean_max_<K>``: the mean of the K greatest affinities |

Fragments are those of sections: the watershed of the mean of the y and x affinities, from the places that are farthest from where
it is at most a half. The thresholds of affinities have no effect on them, as published; with 3-D fragments, which waterz's own
watershed makes, they have.
"""

import logging
import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.agglomeration.agglomerating import unite_at
from lsd_experiments.agglomeration.functions import QUANTILES, check_merge_function
from lsd_experiments.errors import UserError
from lsd_experiments.fragments.watershed import boundary_distance

logger = logging.getLogger(__name__)

BINS = 256
HALF = np.float32(0.5)
AFF_THRESHOLD = (0.0001, 0.9999)  # as published: lower affinities are none, higher ones always join
Segmentations = list[NDArray[np.uint64]]


def merge_function(name: str) -> str:
    """The merge function that ``name`` stands for; names of ours stand for themselves.

    :raises UserError: if it stands for none
    """
    if quantile := re.fullmatch(r"aff(\d+)(?:_his(\d+))?", name):
        if int(quantile[1]) not in QUANTILES or int(quantile[2] or 0) != BINS:
            raise UserError(f"merge function '{name}': is not shipped compiled. Take aff<Q>_his{BINS}, with Q of "
                            f"{QUANTILES[0]}, {QUANTILES[1]}, ... {QUANTILES[-1]}")
        return f"hist_quant_{int(quantile[1])}_initmax"
    if greatest := re.fullmatch(r"max(\d+)", name):
        name = f"mean_max_{int(greatest[1])}"
    check_merge_function(name)
    return name


def segment(affs: NDArray[Any], thresholds: Sequence[float], merge_function_name: str = "aff50_his256", *,
            fragments: Literal["2d", "3d"] | NDArray[np.integer] = "2d",
            aff_threshold: tuple[float, float] | None = None) -> Segmentations:
    """One segmentation [z, y, x] for each of ``thresholds``, in their order, from one agglomeration.

    :param affs: [c, z, y, x], c >= 3
    :param fragments: "2d", "3d", or ids [z, y, x]
    :param aff_threshold: of 3-D fragments; a warning says so for others
    :raises UserError: if there is no such merge function
    """
    if len(affs) < 3:
        raise UserError(f"affinities have {len(affs)} channels, not the three of the direct neighbours. Name others")
    ours, affs = merge_function(merge_function_name), _unit(affs[:3])
    if isinstance(fragments, str) and fragments == "3d":
        low, high = aff_threshold or AFF_THRESHOLD
        return _in_order(unite_at(affs, None, ours, sorted(thresholds), (low, high)), thresholds)
    if aff_threshold is not None:
        logger.warning("aff_threshold %s has no effect on fragments in 2-D, as published. Take 3-D fragments, or leave it out",
                       tuple(aff_threshold))
    ids = fragments_2d(affs) if isinstance(fragments, str) else np.asarray(fragments).astype(np.uint64)
    return _in_order(unite_at(affs, ids, ours, sorted(thresholds)), thresholds)


def _unit(affs: NDArray[Any]) -> NDArray[np.float32]:
    """As published, divided: multiplied by 1 / 255 other affinities would be equal, and fragments others."""
    return affs.astype(np.float32) / np.float32(255) if affs.dtype == np.uint8 else affs.astype(np.float32, copy=False)


def _in_order(ascending: Iterator[NDArray[np.uint64]], thresholds: Sequence[float]) -> Segmentations:
    made = list(ascending)
    return [made[place] for place in np.argsort(np.argsort(thresholds, kind="stable"), kind="stable")]


def fragments_2d(affs: NDArray[Any]) -> NDArray[np.uint64]:
    """Fragments of each section, numbered 1, 2, ... through all: [z, y, x]; every voxel has one.

    :param affs: [c, z, y, x], of which those of y and x count
    """
    from lsd_experiments.fragments.kernels import flood

    affs_y, affs_x = _unit(affs[1:3])
    boundary = 1 - HALF * (affs_y + affs_x)
    fragments = np.empty(boundary.shape, np.uint64)
    count = 0
    for z, section in enumerate(boundary):
        seeds, seen = _label_maxima(boundary_distance(section[None] < HALF)[0])
        _, level = np.unique(-section, return_inverse=True)
        flood((level.reshape(section.shape) + 1).astype(np.int32)[None], seeds[None], count, fragments[z:z + 1])
        count += seen
    return fragments


def _label_maxima(distance: NDArray[np.int32]) -> tuple[NDArray[np.int32], int]:
    """The regional maxima of [y, x], numbered from 1: connected voxels (4 neighbours) of one value, all around them lower."""
    import cc3d
    from scipy.ndimage import generate_binary_structure, label, maximum_filter

    lower = distance < maximum_filter(distance, footprint=generate_binary_structure(2, 1))
    plateaus = cc3d.connected_components(distance + 1, connectivity=4).astype(np.int64)
    has_higher = np.bincount(plateaus.ravel(), weights=lower.ravel()) > 0
    seeds, count = label(~has_higher[plateaus])
    return np.asarray(seeds, np.int32), int(count)
