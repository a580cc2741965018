"""Where a segmentation is wrong on skeletons: the edges that are split, and where skeletons that are merged come closest.

Counts are those of :func:`lsd_experiments.evaluation.skeletons.evaluate_skeletons`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lsd_experiments.evaluation.node_objects import Indices, check_nodes, objects_of, skeletons_per_object

if TYPE_CHECKING:
    from lsd_experiments.skeletons import Skeletons

CROWD = 32  # skeletons in a segment, all pairs of which are located


@dataclass(frozen=True)
class Splits:
    """Edges whose ends are in different objects.

    ``edges``: [k] their indices, ascending; ``components``: [k] their skeletons; ``positions``: [k, 2, 3] of their ends,
    (z, y, x) in nm; ``segments``: [k, 2] there, 0 on the background.
    """

    edges: Indices
    components: Indices
    positions: NDArray[np.float64]
    segments: NDArray[np.uint64]


@dataclass(frozen=True)
class Merges:
    """Pairs of skeletons in one segment.

    ``segments``: [k]; ``components``: [k, 2] the skeletons, the lower number first; ``positions``: [k, 2, 3] of the nodes of
    the two, inside of the segment, that are closest, (z, y, x) in nm; ``count``: how many pairs there are in all.
    """

    segments: NDArray[np.uint64]
    components: Indices
    positions: NDArray[np.float64]
    count: int


def find_errors(skeletons: "Skeletons", segments: ArrayLike, crowd: int = CROWD) -> tuple[Splits, Merges]:
    """All splits, and the merges of segments that touch at most ``crowd`` skeletons.

    The pairs of more skeletons grow with their square, and no one looks at them all: of such a segment the pairs of the ``crowd``
    skeletons with most nodes in it are given, and each other skeleton with the nearest of these.

    :param segments: [n] ids of the segments under the nodes; 0 is background
    :raises UserError: if ``segments`` do not fit
    """
    segments = check_nodes(segments, len(skeletons.positions))
    objects = objects_of(segments)
    u, v = skeletons.edges.T
    edges = np.flatnonzero(objects[u] != objects[v])
    ends = skeletons.edges[edges]
    splits = Splits(edges, skeletons.components[ends[:, 0]], skeletons.positions[ends], segments[ends])
    return splits, _find_merges(skeletons, segments, objects, crowd)


def _find_merges(skeletons: "Skeletons", segments: NDArray[np.uint64], objects: Indices, crowd: int) -> Merges:
    found, counts = skeletons_per_object(skeletons.components, objects)
    inside = np.flatnonzero(np.isin(objects, found[counts > 1]))
    pairs = [pair for nodes in split_by(inside, objects[inside]) for pair in _closest_pairs(skeletons, nodes, crowd)]
    nodes = np.array(pairs, np.int64).reshape(-1, 2)
    nodes = np.take_along_axis(nodes, np.argsort(skeletons.components[nodes], axis=1), axis=1)
    return Merges(segments[nodes[:, 0]], skeletons.components[nodes], skeletons.positions[nodes],
                  int((counts * (counts - 1) // 2).sum()))


def split_by(items: Indices, keys: NDArray[np.integer]) -> list[Indices]:
    """``items`` [n] in parts of equal ``keys`` [n], by ascending key; their order stays."""
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    return np.split(items[order], np.flatnonzero(keys[1:] != keys[:-1]) + 1) if len(items) else []


def _closest_pairs(skeletons: "Skeletons", nodes: Indices, crowd: int) -> Iterator[tuple[int, int]]:
    """The closest pairs of ``nodes``, all in one object, for the pairs of skeletons that :func:`find_errors` tells of."""
    groups = sorted(split_by(nodes, skeletons.components[nodes]), key=len, reverse=True)
    largest, others = groups[:crowd], groups[crowd:]
    for i, group in enumerate(largest):
        yield from _closest(skeletons.positions, group, largest[i + 1:])
    yield from _closest(skeletons.positions, np.concatenate(largest), others)


def _closest(positions: NDArray[np.float64], nodes: Indices, groups: list[Indices]) -> Iterator[tuple[int, int]]:
    """For each of ``groups``, the closest pair of one of ``nodes`` and one of the group."""
    from scipy.spatial import KDTree

    if not groups:
        return
    tree = KDTree(positions[nodes])
    for group in groups:
        distances, nearest = tree.query(positions[group])
        at = int(distances.argmin())
        yield int(nodes[nearest[at]]), int(group[at])
