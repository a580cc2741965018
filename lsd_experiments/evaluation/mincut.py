"""The min-cut metric (MCM): how many splits and merges a segmentation needs until it agrees with the skeletons.

Of each segment that touches several skeletons, the graph of its fragments is cut between them, see
:mod:`lsd_experiments.evaluation.cutting`; edges weigh 1 - merge score, so that doubtful ones are cut. Then

- ``splits_needed``: cuts, over all segments;
- ``merges_needed``: what joins the pieces of each skeleton again: (segments that it is in) - 1, and for each segment that was cut
  (parts that it is in) - 1;
- ``unsplittable_fragments``: fragments that touch several skeletons themselves, which no cut mends: their nodes are left out.

Nodes on the background need nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lsd_experiments.evaluation.cutting import Group, split_graph
from lsd_experiments.evaluation.node_objects import Indices, check_nodes, skeletons_per_object
from lsd_experiments.evaluation.skeleton_errors import split_by

if TYPE_CHECKING:
    from lsd_experiments.skeletons import Skeletons

Ids = NDArray[np.uint64]
EdgeBatch = Sequence[NDArray[Any]]  # u, v, merge scores, and what else there is


@dataclass(frozen=True)
class MergedEdges:
    """Edges of the region graph: ``u``, ``v`` [m] fragments, ``scores`` [m], NaN for never merged."""

    u: Ids
    v: Ids
    scores: NDArray[np.float64]

    def __getitem__(self, taken: NDArray[Any]) -> "MergedEdges":
        return MergedEdges(self.u[taken], self.v[taken], self.scores[taken])


def evaluate_mincut(skeletons: "Skeletons", fragment_ids: ArrayLike, luts: Iterable[tuple[float, ArrayLike]],
                    edges: Iterable[EdgeBatch], parity: bool = False) -> list[dict[str, Any]]:
    """The metric at each threshold, in their order: ``threshold`` and what the module tells of.

    Memory grows with the edges inside of those segments of the highest threshold that touch several skeletons.

    :param fragment_ids: [n] the fragments under the nodes; 0 is background
    :param luts: threshold and look-up table of all fragments, [2, m] ascending fragments and their segments; those of a higher
        threshold only ever join those of a lower one
    :param edges: batches of u, v and merge scores: ``store.iterate_edges(merge_function)``
    :param parity: as published: edges that never merged join at no cost, and a skeleton needs one merge less than it has
        split edges
    """
    from tqdm import tqdm

    fragments = check_nodes(fragment_ids, len(skeletons.positions))
    tables = sorted(((float(threshold), np.asarray(lut, np.uint64)) for threshold, lut in luts), key=lambda pair: pair[0])
    if not tables:
        return []
    kept = _read_edges(skeletons, fragments, *tables[-1], edges, parity)
    rows = []
    for threshold, lut in tqdm(tables, desc="min-cuts", unit="threshold", leave=False, disable=None):
        rows.append({"threshold": threshold, **needed_edits(skeletons, fragments, lut, kept, threshold, parity)})
    return rows


def needed_edits(skeletons: "Skeletons", fragments: Ids, lut: Ids, edges: MergedEdges, threshold: float,
                 parity: bool = False) -> dict[str, int]:
    """The metric of one threshold; see the module. ``edges`` that are not in a merging segment, or not merged, do not count."""
    from tqdm import tqdm

    from lsd_experiments.segmentation import segments_of

    segments = segments_of(fragments, lut)
    merging = _merging_segments(skeletons, segments)
    edges = _inside(edges, lut, merging, threshold, parity)
    nodes = np.flatnonzero(np.isin(segments, merging))
    nodes_of = split_by(nodes, segments[nodes])  # one for each of merging
    owners = segments_of(edges.u, lut)
    order = np.argsort(owners, kind="stable")
    begins, ends = (np.searchsorted(owners[order], merging, side) for side in ("left", "right"))
    splits = unsplittable = 0
    merges = _merges_of_pieces(skeletons, segments, parity)
    work = zip(nodes_of, begins, ends, strict=True)
    for those, begin, end in tqdm(work, total=len(merging), desc="segments", unit="segment", leave=False, disable=None):
        found = _edits_of_segment(skeletons, fragments, those, edges[order[begin:end]])
        splits, merges, unsplittable = splits + found[0], merges + found[1], unsplittable + found[2]
    return {"splits_needed": splits, "merges_needed": merges, "unsplittable_fragments": unsplittable}


def _edits_of_segment(skeletons: "Skeletons", fragments: Ids, nodes: Indices, edges: MergedEdges) -> tuple[int, int, int]:
    """Splits, merges and unsplittable fragments of the segment of ``nodes``, whose graph has these ``edges``."""
    names, number = np.unique(np.concatenate([fragments[nodes], edges.u, edges.v]), return_inverse=True)
    vertices, u, v = np.split(number.astype(np.int64), [len(nodes), len(nodes) + len(edges.u)])
    shared, counts = skeletons_per_object(skeletons.components[nodes], vertices)
    unsplittable = shared[counts > 1]
    splittable = ~np.isin(vertices, unsplittable)
    nodes, vertices = nodes[splittable], vertices[splittable]
    groups = [Group(vertices[part], skeletons.positions[nodes[part]])
              for part in split_by(np.arange(len(nodes)), skeletons.components[nodes])]
    weights = 1 - np.minimum(np.nan_to_num(edges.scores, nan=1.0), 1.0)
    cuts, parts = split_graph(np.stack([u, v], axis=1), weights, len(names), groups)
    return cuts, sum(len(np.unique(parts[group.vertices])) - 1 for group in groups), len(unsplittable)


def _merges_of_pieces(skeletons: "Skeletons", segments: Ids, parity: bool) -> int:
    """What joins the segments that each skeleton is in."""
    if parity:  # the published code counts split edges and takes one off for each skeleton, as if they were its segments
        u, v = skeletons.edges[(segments[skeletons.edges] > 0).all(axis=1)].T
        split = segments[u] != segments[v]
        return int(split.sum()) - len(np.unique(skeletons.components[u[split]]))
    inside = segments > 0
    pairs = np.unique(np.stack([skeletons.components[inside].astype(np.uint64), segments[inside]], axis=1), axis=0)
    return len(pairs) - len(np.unique(pairs[:, 0]))


def _merging_segments(skeletons: "Skeletons", segments: Ids) -> Ids:
    inside = segments > 0
    names, objects = np.unique(segments[inside], return_inverse=True)
    found, counts = skeletons_per_object(skeletons.components[inside], objects.reshape(-1).astype(np.int64))
    return names[found[counts > 1]]


def _inside(edges: MergedEdges, lut: Ids, merging: Ids, threshold: float, parity: bool) -> MergedEdges:
    """Those that were merged at ``threshold`` and are inside of one of the ``merging`` segments."""
    from lsd_experiments.segmentation import segments_of

    edges = edges[~(edges.scores > threshold) if parity else edges.scores <= threshold]
    owners = segments_of(edges.u, lut)
    return edges[(owners == segments_of(edges.v, lut)) & np.isin(owners, merging)]


def _read_edges(skeletons: "Skeletons", fragments: Ids, threshold: float, lut: Ids, batches: Iterable[EdgeBatch],
                parity: bool) -> MergedEdges:
    """The edges inside of the merging segments of the highest threshold."""
    from lsd_experiments.segmentation import segments_of

    merging = _merging_segments(skeletons, segments_of(fragments, lut))
    parts = [MergedEdges(np.zeros(0, np.uint64), np.zeros(0, np.uint64), np.zeros(0))]
    if len(merging):
        parts += [_inside(MergedEdges(*batch[:3]), lut, merging, threshold, parity) for batch in batches]
    return MergedEdges(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("u", "v", "scores")))
