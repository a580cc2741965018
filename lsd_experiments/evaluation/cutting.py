"""Minimum cuts of a graph until groups of its vertices are apart: what a proofreader would do to take a merged segment apart.

    1---2---3---4      groups {1} and {4}; the edge 2---3 is the weakest
        A   |   B      one cut: 1 and 2 on one side, 3 and 4 on the other
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.evaluation.node_objects import Indices

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

SCALE = 2**20  # of capacities, which are whole numbers where the flow is computed


@dataclass(frozen=True)
class Group:
    """Vertices that belong together: ``vertices`` [k], which may repeat, and a place for each, ``positions`` [k, 3] in nm."""

    vertices: Indices
    positions: NDArray[np.float64]

    def inside(self, part: Indices) -> "Group":
        """What of the group is in ``part``, ascending vertices, numbered as they are there."""
        at = np.minimum(np.searchsorted(part, self.vertices), len(part) - 1)
        taken = part[at] == self.vertices
        return Group(at[taken], self.positions[taken])


def split_graph(edges: Indices, weights: NDArray[np.float64], vertices: int, groups: list[Group]) -> tuple[int, Indices]:
    """Cut until no part holds vertices of two groups.

    Each cut is a minimum cut between the closest vertices of the two largest groups in a part, nearer to the smaller of them if
    there are several, and counts even if these are apart already.

    :param edges: [m, 2] and their ``weights`` [m], not negative
    :param groups: no vertex is in two of them
    :returns: how many cuts that took, and the part of each vertex [vertices], from 0
    """
    parts = np.zeros(vertices, np.int64)
    cuts = finished = 0
    waiting = [(_capacities(edges, weights, vertices), np.arange(vertices), groups)]  # names of the vertices: of the whole graph
    while waiting:
        graph, names, those = waiting.pop()
        those = [group for group in those if len(group.vertices)]
        if len(those) < 2:
            parts[names] = finished
            finished += 1
            continue
        side = _cut(graph, *sorted(those, key=lambda group: len(group.vertices))[-2:])
        cuts += 1
        for half in (np.flatnonzero(~side), np.flatnonzero(side)):
            waiting.append((graph[half][:, half], names[half], [group.inside(half) for group in those]))
    return cuts, parts


def _capacities(edges: Indices, weights: NDArray[np.float64], vertices: int) -> "csr_matrix":
    from scipy.sparse import coo_matrix

    assert not len(weights) or weights.min() >= 0, "a weight is below 0"
    capacities = np.round(weights * SCALE).astype(np.int32)
    there_and_back = np.concatenate([edges, edges[:, ::-1]])
    return coo_matrix((np.tile(capacities, 2), there_and_back.T), (vertices, vertices)).tocsr()


def _cut(graph: "csr_matrix", smaller: Group, larger: Group) -> NDArray[np.bool_]:
    """The side [vertices] of the minimum cut of ``graph`` on which ``smaller`` has its vertex."""
    from scipy.sparse.csgraph import breadth_first_order, maximum_flow

    source, sink = _closest(smaller, larger)
    rest = graph - maximum_flow(graph, source, sink).flow
    rest.eliminate_zeros()
    side = np.zeros(graph.shape[0], bool)
    side[breadth_first_order(rest, source, return_predecessors=False)] = True
    return side


def _closest(one: Group, other: Group) -> tuple[int, int]:
    from scipy.spatial import KDTree

    distances, nearest = KDTree(one.positions).query(other.positions)
    at = int(distances.argmin())
    return int(one.vertices[nearest[at]]), int(other.vertices[at])
