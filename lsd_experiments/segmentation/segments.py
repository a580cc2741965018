"""Segments in memory, at one threshold or at all: for graphs that fit. Of larger ones, see :mod:`.streaming`."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.errors import UserError
from lsd_experiments.segmentation.forest import Forest, Ids
from lsd_experiments.segmentation.relabeling import relabel


def segment(fragments: Ids, u: Ids, v: Ids, scores: NDArray[np.float64], threshold: float,
            parity: bool = False) -> NDArray[np.uint64]:
    """The segmentation of ``fragments`` at one threshold; see :func:`find_segments`.

    :param fragments: [z, y, x], 0 is no fragment
    :param u: [m], and v, scores: edges, as :func:`~lsd_experiments.agglomeration.agglomerate` gives them
    :returns: [z, y, x], 0 where there is no fragment; a segment has the id of its smallest fragment
    :raises UserError: if an edge has an end that is not in ``fragments``
    """
    import fastremap

    fragments, u, v = (np.asarray(ids, np.uint64) for ids in (fragments, u, v))
    ids = fastremap.unique(fragments)
    ids = ids[ids > 0]
    ends = np.concatenate([u, v])
    unknown = ends[~np.isin(ends, ids)]
    if len(unknown):
        raise UserError(f"an edge ends at {unknown[0]}, which is no fragment. Give the fragments that these edges are of")
    _, lut = next(find_segments(ids, u, v, scores, [threshold], parity))
    return relabel(fragments, lut)


def find_segments(fragments: Ids, u: Ids, v: Ids, scores: NDArray[np.float64], thresholds: Sequence[float],
                  parity: bool = False) -> Iterator[tuple[float, NDArray[np.uint64]]]:
    """Each threshold, ascending, with its look-up table.

    Fragments are in one segment if edges connect them whose scores are at most the threshold.

    :param fragments: [n] all fragment ids
    :param u: [m] fragment at one end of each edge
    :param v: [m] fragment at the other end
    :param scores: [m] merge scores, NaN for edges that never unite
    :param parity: as published: edges without a score unite at every threshold
    """
    fragments, thresholds = np.sort(fragments), sorted(thresholds)
    forest = Forest(len(fragments))
    edges, starts = forest.sort_edges(fragments, u, v, scores, thresholds, parity)
    for index, threshold in enumerate(thresholds):
        forest.unite(edges[starts[index]:starts[index + 1]])
        yield threshold, np.stack([fragments, fragments[forest.roots()]])


def threshold_range(minmax: tuple[float, float], step: float) -> list[float]:
    """Thresholds from the first of ``minmax`` in steps of ``step``; the second one is excluded, as published."""
    count = max(1, math.ceil((minmax[1] - minmax[0]) / step - 1e-9))
    return [round(minmax[0] + step * index, 10) for index in range(count)]
