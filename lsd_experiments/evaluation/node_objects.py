"""What the nodes of skeletons lie in: the objects of a segmentation, told by the segment under each node.

A node on segment 0, the background, is an object of its own: what was left out of a segmentation is split, never merged.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lsd_experiments.errors import UserError
from lsd_experiments.evaluation.counting import Contingency

Indices = NDArray[np.int64]


def check_nodes(segments: ArrayLike, nodes: int) -> NDArray[np.uint64]:
    """``segments`` [n] as uint64.

    :raises UserError: if there is no node, or not one segment per node, or ids are not integers, or negative
    """
    ids = np.asarray(segments)
    if not nodes:
        raise UserError("the skeletons have no node in the region. Name a larger region, or other skeletons")
    if ids.shape != (nodes,):
        raise UserError(f"segments of shape {ids.shape} for {nodes} nodes: give one id for each node")
    if ids.dtype.kind not in "ui":
        raise UserError(f"the segments under the nodes are of type {ids.dtype}; they must be integers: if they are whole "
                        "numbers, pass ids.astype('uint64')")
    if ids.dtype.kind == "i" and ids.min() < 0:
        raise UserError(f"the segments under the nodes include {ids.min()}; they must not be negative")
    return ids.astype(np.uint64, copy=False)


def objects_of(segments: NDArray[np.uint64], voxels: NDArray[np.integer] | None = None) -> Indices:
    """[n] the number of each node's object, from 0: that of its segment, or one of its own on the background.

    :param voxels: [n, 3] nodes of the background that share a voxel share an object, too; None: they do not
    """
    _, objects = np.unique(segments, return_inverse=True)
    objects = objects.reshape(-1).astype(np.int64)
    outside = np.flatnonzero(segments == 0)
    own = np.arange(len(outside)) if voxels is None else voxel_numbers(voxels[outside])
    objects[outside] = len(segments) + own
    return objects


def voxel_numbers(voxels: NDArray[np.integer]) -> Indices:
    """[n] a number for each of the ``voxels`` [n, 3]; equal ones have the same."""
    if not len(voxels):
        return np.zeros(0, np.int64)
    _, numbers = np.unique(voxels, axis=0, return_inverse=True)
    return np.asarray(numbers, np.int64).reshape(-1)


def skeletons_per_object(components: Indices, objects: Indices) -> tuple[Indices, Indices]:
    """The objects [k], ascending, and how many skeletons each of them touches [k]."""
    pairs = np.unique(np.stack([objects, components], axis=1), axis=0)
    found, counts = np.unique(pairs[:, 0], return_counts=True)
    return found, counts.astype(np.int64)


def node_contingency(components: Indices, objects: NDArray[np.integer], parity: bool = False,
                     voxels: NDArray[np.integer] | None = None) -> Contingency:
    """The table of objects and skeletons, each node counting once.

    :param parity: as published: skeletons are drawn into a volume with their numbers, so that number 0 is background and is not
        counted, and of the nodes in one of the ``voxels`` [n, 3] only the last one drawn counts, that of the highest number
    :raises UserError: if there is no skeleton but the first, which is not counted
    """
    counted = np.ones(len(components), bool)
    if parity and voxels is not None:
        counted[:] = False
        order = np.argsort(components, kind="stable")
        places = voxel_numbers(voxels[order])
        last: NDArray[Any] = np.full(places.max() + 1, -1)
        last[places] = order  # of equal places the last value stays
        counted[last] = True
    if parity:
        counted &= components > 0
        if not counted.any():
            raise UserError("parity leaves out the first skeleton in Rand and VOI, and there is no other. Evaluate without it")
    return Contingency.of_pairs(objects[counted], components[counted] + 1, np.ones(counted.sum(), np.int64))
