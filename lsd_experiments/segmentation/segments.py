"""Segments at all thresholds, in memory: for graphs that fit. Of larger ones, see :mod:`.streaming`."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.segmentation.forest import Forest, Ids


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
