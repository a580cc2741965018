"""Agglomerate the fragments of a block with waterz."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.agglomeration.functions import CONTACT_MEAN, check_merge_function, greatest_of, scoring_function
from lsd_experiments.agglomeration.merging import Merging, mean_of_greatest, united
from lsd_experiments.agglomeration.scores import merge_scores
from lsd_experiments.errors import UserError

DIRECT = 3  # channels of the direct neighbours, which come first; only they count
DISCRETIZE_QUEUE = 256  # bins of waterz's queue, as published

Edges = tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.float64]]


def agglomerate(affs: NDArray[Any], fragments: NDArray[np.uint64], merge_function: str) -> Edges:
    """The region graph of ``fragments`` with its merge scores.

    :param affs: [c, z, y, x], c >= 3, uint8 or float in [0, 1]
    :param fragments: [z, y, x], 0 is no fragment
    :param merge_function: one of :data:`~lsd_experiments.agglomeration.MERGE_FUNCTIONS`
    :return: fragment ids u < v of each pair of neighbours (6 neighbours), and its merge score, NaN if the two never
        unite
    :raises UserError: if there is no such merge function
    """
    if merge_function == CONTACT_MEAN:
        from lsd_experiments.agglomeration.contacts import mean_scores  # which imports this module

        return mean_scores(affs, fragments)
    check_merge_function(merge_function)
    greatest = greatest_of(merge_function)
    ids, compact = _renumber(fragments)
    if len(ids) < 2:
        return np.zeros(0, np.uint64), np.zeros(0, np.uint64), np.zeros(0)
    if greatest:
        pairs, merges = _run_own(unit_affinities(affs[:DIRECT]), compact, greatest)
    else:
        pairs, merges = _run_waterz(unit_affinities(affs[:DIRECT]), compact, scoring_function(merge_function))
    scores = merge_scores(len(ids), pairs, merges["pair"], merges["score"])
    u, v = ids[pairs.min(axis=1)], ids[pairs.max(axis=1)]
    return u, v, scores


def unite(affs: NDArray[Any], fragments: NDArray[np.uint64], merge_function: str,
          threshold: float) -> NDArray[np.uint64]:
    """``fragments`` [z, y, x], united up to ``threshold``; a united one has the id of one of its fragments."""
    import waterz

    ids, compact = _renumber(fragments)
    table: NDArray[np.uint64] = np.concatenate([np.zeros(1, np.uint64), ids])
    if greatest := greatest_of(merge_function):
        merging = Merging(*mean_of_greatest(unit_affinities(affs[:DIRECT]), compact, greatest))
        return np.asarray(table[united(compact, merging.until(threshold))])
    with _silence():
        together, = waterz.agglomerate(unit_affinities(affs[:DIRECT]), [threshold], fragments=compact,
                                     scoring_function=scoring_function(merge_function),
                                     discretize_queue=DISCRETIZE_QUEUE)
    return np.asarray(table[together])


def unite_at(affs: NDArray[Any], fragments: NDArray[np.uint64] | None, merge_function: str, thresholds: Sequence[float],
             aff_threshold: tuple[float, float] = (0.0001, 0.9999)) -> Iterator[NDArray[np.uint64]]:
    """Segmentations [z, y, x] of one agglomeration, at each of ``thresholds``, which ascend; ids are arbitrary.

    :param affs: as of :func:`agglomerate`
    :param fragments: [z, y, x]; None for those of waterz's own watershed
    :param aff_threshold: of that watershed: lower affinities are none, higher ones always join
    """
    import waterz

    if merge_function == CONTACT_MEAN:
        raise UserError(f"merge function '{CONTACT_MEAN}': is for the pipeline, blockwise. Take mean")
    low, high = aff_threshold
    compact = None if fragments is None else _renumber(fragments)[1]
    if greatest := greatest_of(merge_function):
        yield from _own_at(unit_affinities(affs[:DIRECT]), compact, greatest, thresholds, aff_threshold)
        return
    with _silence():
        steps = waterz.agglomerate(unit_affinities(affs[:DIRECT]), list(dict.fromkeys(thresholds)), fragments=compact,
                                   aff_threshold_low=low, aff_threshold_high=high,
                                   scoring_function=scoring_function(merge_function), discretize_queue=DISCRETIZE_QUEUE)
        made = {threshold: segmentation.copy() for threshold, segmentation in zip(dict.fromkeys(thresholds), steps, strict=True)}
    for threshold in thresholds:
        yield made[threshold]


def unit_affinities(affs: NDArray[Any]) -> NDArray[np.float32]:
    """``affs`` as contiguous float32 in [0, 1]."""
    scale = np.float32(1 / 255 if affs.dtype == np.uint8 else 1)
    return np.ascontiguousarray(np.multiply(affs, scale, dtype=np.float32))


def _renumber(fragments: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The ids in ascending order, without 0, and ``fragments`` with id number i as i + 1."""
    import fastremap

    ids = fastremap.unique(fragments)
    ids = ids[ids > 0].astype(np.uint64)
    table = dict(zip(ids.tolist(), range(1, len(ids) + 1), strict=True)) | {0: 0}
    return ids, np.ascontiguousarray(fastremap.remap(fragments, table), dtype=np.uint64)


def _run_waterz(affs: NDArray[np.float32], fragments: NDArray[np.uint64], scoring: str,
                ) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Pairs of neighbours [n, 2], and the merges in order, each with ``pair`` and ``score``; ids count from 0."""
    import waterz

    with _silence():
        steps = waterz.agglomerate(affs, [0, 1.0], fragments=fragments, scoring_function=scoring,
                                   discretize_queue=DISCRETIZE_QUEUE, return_merge_history=True,
                                   return_region_graph=True)
        _, _, graph = next(steps)
        pairs = np.array([(edge["u"], edge["v"]) for edge in graph], np.int64).reshape(-1, 2) - 1
        _, history, _ = next(steps)
    merges = np.zeros(len(history), [("pair", np.int64, 2), ("score", np.float64)])
    merges["pair"] = np.array([(merge["a"], merge["b"]) for merge in history], np.int64).reshape(-1, 2) - 1
    merges["score"] = [merge["score"] for merge in history]
    return pairs, merges


def _run_own(affs: NDArray[np.float32], fragments: NDArray[np.uint64], greatest: int) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """What :func:`_run_waterz` gives, of the mean of the ``greatest`` affinities."""
    pairs, statistics = mean_of_greatest(affs, fragments, greatest)
    history = Merging(pairs, statistics).until(1.0)
    merges = np.zeros(len(history), [("pair", np.int64, 2), ("score", np.float64)])
    merges["pair"] = np.array([merge[:2] for merge in history], np.int64).reshape(-1, 2) - 1
    merges["score"] = [score for _, _, score in history]
    return pairs - 1, merges


def _own_at(affs: NDArray[np.float32], fragments: NDArray[np.uint64] | None, greatest: int, thresholds: Sequence[float],
            aff_threshold: tuple[float, float]) -> Iterator[NDArray[np.uint64]]:
    import waterz

    if fragments is None:
        with _silence():  # below all scores nothing merges: these are the fragments of its watershed
            fragments, = (step.copy() for step in waterz.agglomerate(
                affs, [0], aff_threshold_low=aff_threshold[0], aff_threshold_high=aff_threshold[1],
                scoring_function=scoring_function("mean"), discretize_queue=DISCRETIZE_QUEUE))
        _, fragments = _renumber(fragments)
    merging = Merging(*mean_of_greatest(affs, fragments, greatest))
    merges: list[tuple[int, int, float]] = []
    for threshold in thresholds:
        merges += merging.until(threshold)
        yield united(fragments, merges)


@contextmanager
def _silence() -> Iterator[None]:
    """While open, nothing reaches the standard output: waterz writes to it from C++."""
    import io
    import sys
    from contextlib import redirect_stdout

    sys.stdout.flush()
    kept = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)
