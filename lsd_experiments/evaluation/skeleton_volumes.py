"""Skeletons beside a volume on disk: what of them lies in its region, and what is under their nodes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.errors import UserError

if TYPE_CHECKING:
    from lsd_experiments.arrays import Volume
    from lsd_experiments.skeletons import Skeletons

Roi = tuple[Sequence[float], Sequence[float]]  # offset and shape, (z, y, x) in nm


@dataclass(frozen=True)
class NodesInVolume:
    """The ``skeletons`` in a region, what is connected there being one; ``ids`` [n] and ``voxels`` [n, 3] under their nodes."""

    skeletons: "Skeletons"
    ids: NDArray[np.uint64]
    voxels: NDArray[np.int64]


def nodes_in(volume: "Volume", skeletons: "Skeletons", roi: Roi | None = None, downsampling: int = 1) -> NodesInVolume:
    """What is under the nodes in ``volume``, a segmentation or fragments, of which chunks without nodes are not read.

    :param roi: the region (default: all of the volume)
    :param downsampling: look at every n-th voxel of the region only, as if it had been sub-sampled so
    :raises UserError: if the region is not in the volume, holds no node, or the volume is no segmentation
    """
    from lsd_experiments.skeletons import segments_at, voxels_of

    part, inside = skeletons_in(volume, skeletons, roi)
    return NodesInVolume(inside, segments_at(part, inside, downsampling), voxels_of(part, inside, downsampling))


def skeletons_in(volume: "Volume", skeletons: "Skeletons", roi: Roi | None = None) -> "tuple[Volume, Skeletons]":
    """The region of ``volume``, and what of the skeletons lies in it; no voxel is read.

    :raises UserError: if the region is not in the volume, or holds no node
    """
    from lsd_experiments.arrays import to_box
    from lsd_experiments.skeletons import crop

    part = volume if roi is None else volume.crop(to_box(volume, *roi))
    inside = crop(skeletons, part.offset, [end - begin for begin, end in zip(part.offset, part.end, strict=True)])
    if not len(inside.ids):
        raise UserError(f"none of the {len(skeletons.ids)} nodes lies in the region of {volume.name}, {_show(part.offset)} to "
                        f"{_show(part.end)} nm{_extent(skeletons)}. Correct the region, or the axes and unit of the skeletons")
    return part, inside


def _extent(skeletons: "Skeletons") -> str:
    if not len(skeletons.ids):
        return ""
    return f"; they cover {_show(skeletons.positions.min(axis=0))} to {_show(skeletons.positions.max(axis=0))} nm"


def _show(position: Sequence[float] | NDArray[np.float64]) -> str:
    return "(" + ", ".join(f"{value:g}" for value in position) + ")"
