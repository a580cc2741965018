"""Parts of components, and which of them are one."""

import itertools
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.geometry import Box, Voxels

Ids = NDArray[np.uint64]
RANKS = {6: 1, 18: 2, 26: 3}  # coordinates in which two voxels of a connectivity may differ


class Readable(Protocol):
    """What parts are read from: a :class:`~lsd_experiments.arrays.Volume`."""

    def read(self, box: Box) -> Ids:
        """The parts in ``box`` [z, y, x]; 0 outside of the volume."""


def label_parts(mask: NDArray[np.generic], begin: Voxels, whole: Voxels, connectivity: int) -> Ids:
    """The connected parts of ``mask`` [z, y, x], each with 1 plus the number of its first voxel in a volume of shape ``whole``.

    :param begin: where in that volume the mask begins
    :param connectivity: 6, 18 or 26
    """
    from scipy import ndimage

    structure = ndimage.generate_binary_structure(3, RANKS[connectivity])
    parts, _ = ndimage.label(mask, structure)  # cc3d 4.1.1 fails on some masks of a few voxels with connectivity 26
    return number_parts(parts, begin, whole)


def number_parts(parts: NDArray[Any], begin: Voxels, whole: Voxels) -> Ids:
    """``parts`` [z, y, x], each with 1 plus the number of its first voxel in a volume of shape ``whole``; 0 stays."""
    import fastremap

    labels, first = fastremap.unique(parts, return_index=True)
    places = np.unravel_index(first.astype(np.int64), parts.shape)
    numbers = np.ravel_multi_index(tuple(p + b for p, b in zip(places, begin, strict=True)), whole) + 1
    table = np.zeros(int(labels.max(initial=0)) + 1, np.uint64)
    table[labels] = numbers
    table[0] = 0
    found: Ids = table[parts]
    return found


def join_parts(parts: Readable, blocks: Iterable[Box], connectivity: int, minimum_size: int = 1) -> Ids:
    """[2, n] the table from the parts, ascending, to their components, numbered 1, 2, ... by their first voxels.

    :param parts: what :func:`label_parts` gave for each of ``blocks``, which tile the volume; 0 outside of it
    :param minimum_size: voxels; smaller components become 0
    """
    return join(parts, blocks, lambda planes: touching_across(planes, connectivity), minimum_size)


def join(parts: Readable, blocks: Iterable[Box], touching_in: Callable[[Ids], Ids], minimum_size: int = 1,
         together: Ids | None = None) -> Ids:
    """As :func:`join_parts`, with other rules.

    :param touching_in: gives the pairs [n, 2] that belong together of two planes [2, rows, columns], the second of which is the
        first of a block; their first row and column are of neighbouring blocks
    :param together: [m, 2] pairs that belong together besides
    """
    import fastremap

    found, sizes, touching = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)], [np.zeros((0, 2), np.uint64)]
    for block in blocks:
        values = parts.read(Box(tuple(b - 1 for b in block.begin), block.end))
        ids, counts = fastremap.unique(values[1:, 1:, 1:], return_counts=True)
        found.append(ids[ids > 0].astype(np.uint64))
        sizes.append(counts[ids > 0].astype(np.int64))
        touching += [touching_in(np.moveaxis(values, axis, 0)[:2]) for axis in range(3)]
    touching += [] if together is None else [together]
    ids, inverse = np.unique(np.concatenate(found), return_inverse=True)
    voxels = np.bincount(inverse, np.concatenate(sizes), len(ids)).astype(np.float64)
    return number_components(ids, voxels, np.concatenate(touching), minimum_size)


def touching_across(planes: Ids, connectivity: int) -> Ids:
    """[n, 2] the parts of two neighbouring ``planes`` [2, rows, columns] that touch from one to the other; each pair once."""
    before, after = planes
    pairs = [np.zeros((0, 2), np.uint64)]
    for shift in itertools.product((-1, 0, 1), repeat=2):
        if sum(map(abs, shift)) >= RANKS[connectivity]:  # one is across
            continue
        u = before[tuple(slice(max(0, s), n + min(0, s)) for s, n in zip(shift, before.shape, strict=True))]
        v = after[tuple(slice(max(0, -s), n + min(0, -s)) for s, n in zip(shift, after.shape, strict=True))]
        both = (u > 0) & (v > 0)
        pairs.append(np.unique(np.stack([u[both], v[both]], axis=1), axis=0))
    return np.unique(np.concatenate(pairs), axis=0)


def number_components(ids: Ids, sizes: NDArray[np.float64], touching: Ids, minimum_size: int) -> Ids:
    """[2, n] the table from ``ids`` [n], ascending, to components: numbered by their smallest ids, without the small ones.

    :param sizes: [n] voxels of each
    :param touching: [m, 2] ids that belong together
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not len(ids):
        return np.zeros((2, 0), np.uint64)
    u, v = np.searchsorted(ids, touching).T
    graph = coo_array((np.ones(len(u), np.uint8), (u, v)), shape=(len(ids), len(ids)))
    count, component = connected_components(graph, directed=False)
    kept = np.bincount(component, sizes, count) >= minimum_size
    _, first = np.unique(component, return_index=True)  # ids ascend: the first one of a component is its smallest
    order = np.argsort(first)
    numbers = np.zeros(count, np.uint64)
    numbers[order[kept[order]]] = np.arange(1, kept.sum() + 1, dtype=np.uint64)
    return np.stack([ids, numbers[component]])


