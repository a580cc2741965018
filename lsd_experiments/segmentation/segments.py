"""Segments at all thresholds, in one pass over the edges in order of their merge scores."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.uint64]


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
    from lsd_experiments.segmentation.kernels import roots, unite

    fragments = np.sort(fragments)
    usable = np.nan_to_num(scores, nan=-np.inf if parity else np.inf)
    order = np.argsort(usable, kind="stable")
    ascending = usable[order]
    ends = [_places(fragments, ids[order]) for ids in (u, v)]
    parents = np.arange(len(fragments))
    done = 0
    for threshold in sorted(thresholds):
        until = int(np.searchsorted(ascending, threshold, side="right"))
        unite(parents, ends[0][done:until], ends[1][done:until])
        done = until
        yield threshold, np.stack([fragments, fragments[roots(parents)]])


def threshold_range(minmax: tuple[float, float], step: float) -> list[float]:
    """Thresholds from the first of ``minmax`` in steps of ``step``; the second one is excluded, as published."""
    count = max(1, math.ceil((minmax[1] - minmax[0]) / step - 1e-9))
    return [round(minmax[0] + step * index, 10) for index in range(count)]


def _places(fragments: Ids, ids: Ids) -> NDArray[np.int64]:
    places = np.searchsorted(fragments, ids)
    known = len(fragments) > 0 and bool((fragments[np.minimum(places, len(fragments) - 1)] == ids).all())
    assert known or len(ids) == 0, "an edge of the region graph has an end that is no node"
    return places
