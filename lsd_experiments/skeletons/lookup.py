"""The voxels and segments under the nodes of skeletons.

A node at p nm lies in voxel floor((p - offset) / voxel_size) of a volume, for each axis: positions are points, and voxel v covers
v to v + 1. The XPRESS challenge does the same (trivoldus28/xray-challenge-eval, eval/eval.py: positions are truncated to whole
nm, and daisy divides their distance from the offset by the voxel size and rounds down). With its ``--downsampling n`` it looks up
``segmentation[::n, ::n, ::n]``, whose voxels are n times as large: the voxel found is then n * floor(v / n), counted from the
volume's first. (There, the grid is also moved to a multiple of n voxels, where its ROIs begin already.)
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays import Volume, check_labels, read_ids
from lsd_experiments.arrays.grids import show
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box
from lsd_experiments.skeletons.skeleton import Skeletons

BLOCK = (64, 64, 64)  # voxels that are read at once where a volume has no chunks
TOLERANCE = 1e-6  # voxels: a node that is on the grid but for rounding is on it


def voxels_of(volume: Volume, skeletons: Skeletons, stride: int = 1) -> NDArray[np.int64]:
    """[n, 3] the voxel of ``volume`` under each node, (z, y, x), relative to the volume's first.

    :param stride: take the voxel of the grid of every ``stride``-th voxel instead.
    :raises UserError: if a node lies outside of the volume; the first one is named.
    """
    positions = skeletons.positions
    outside = ((positions < volume.offset) | (positions >= volume.end)).any(axis=1)
    if outside.any():
        first = int(np.argmax(outside))
        raise UserError(f"node {skeletons.ids[first]} at {show(positions[first].tolist())} nm (z, y, x) is outside of "
                        f"{volume.name}, which covers {show(volume.offset)} to {show(volume.end)} nm, and so are "
                        f"{int(outside.sum()) - 1} others. Crop the skeletons, or correct their axes and unit")
    exact = (positions - volume.offset) / volume.voxel_size
    voxels = np.floor(exact + TOLERANCE).astype(np.int64).clip(0, np.asarray(volume.shape) - 1)
    return voxels // stride * stride


def segments_at(volume: Volume, skeletons: Skeletons, stride: int = 1) -> NDArray[np.uint64]:
    """[n] the id under each node in the segmentation ``volume``, which is read chunk by chunk, only where there are nodes.

    :param stride: see :func:`voxels_of`.
    :raises UserError: if ``volume`` is no segmentation, holds negative ids there, or a node lies outside of it.
    """
    check_labels(volume)
    voxels = voxels_of(volume, skeletons, stride)
    segments = np.zeros(len(voxels), np.uint64)
    for nodes in _by_chunk(volume, voxels):
        begin, end = voxels[nodes].min(axis=0), voxels[nodes].max(axis=0) + 1
        ids = read_ids(volume, Box(tuple(begin.tolist()), tuple(end.tolist())))
        segments[nodes] = ids[tuple((voxels[nodes] - begin).T)]
    return segments


def _by_chunk(volume: Volume, voxels: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Indices of nodes, those of each chunk together."""
    if not len(voxels):
        return
    chunks = (voxels + volume.region.begin) // (volume.chunks or BLOCK)
    order = np.lexsort(chunks.T)
    borders = np.flatnonzero((np.diff(chunks[order], axis=0) != 0).any(axis=1)) + 1
    yield from np.split(order, borders)
