"""How many pairs of voxels each edge decides on, in two passes over the maximum spanning tree of the affinities."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays import as_mask


class Weights(NamedTuple):
    """The share of each edge in the pairs of a pass, [c, z, y, x] float64; sums to 1, or is 0 if there are no pairs.

    ``positive``: pairs of one label, at edges inside of labels; ``negative``: pairs of two labels, at all other edges.
    """

    positive: NDArray[np.float64]
    negative: NDArray[np.float64]


def malis_weights(
    affs: NDArray[Any],
    labels: NDArray[Any],
    neighborhood: Sequence[Sequence[int]],
    mask: NDArray[Any] | None = None,
) -> Weights:
    """The weights of all edges in both passes; see this package for the arrays.

    An edge decides on the pairs of voxels that it is the first to join, if edges are taken by descending affinity. In the
    positive pass edges between labels have affinity 0, in the negative pass edges inside of a label have affinity 1. Where
    ``mask`` is 0, edges keep their affinity in both passes, and weigh nothing. Of equal affinities those that were set to 0
    come last, those that were set to 1 first, and others in the order of the array.
    """
    from lsd_experiments.malis import kernels

    assert affs.shape == (len(neighborhood), *labels.shape), f"affs {affs.shape}, labels {labels.shape}, {neighborhood}"
    assert mask is None or mask.shape == affs.shape, f"mask {mask.shape}, affs {affs.shape}"
    assert affs.size < 2**31, f"{affs.size} edges are more than fit in memory"
    offsets = np.array(neighborhood, np.int64)
    ids = np.ascontiguousarray(labels, np.int64)
    known = np.ones(affs.shape, bool) if mask is None else np.ascontiguousarray(as_mask(mask))
    kinds = kernels.find_kinds(ids, offsets, known).ravel()
    keys = _sort_keys(np.ascontiguousarray(affs, np.float32)).ravel()
    strides = offsets @ np.array([ids.shape[1] * ids.shape[2], ids.shape[2], 1])
    # Edges that were set to 0 come last, and weigh nothing: they are left out.
    positive = _pass(kinds, kernels.INSIDE, keys, ids.ravel(), strides)
    negative = _pass(kinds, kernels.BETWEEN, keys, ids.ravel(), strides)
    return Weights(positive.reshape(affs.shape), negative.reshape(affs.shape))


def edge_weights(
    affs: NDArray[Any], mask_and_objects: NDArray[Any], neighborhood: Sequence[Sequence[int]]
) -> NDArray[np.float32]:
    """The weight of each edge in the loss of a batch, which is the mean of its samples': of both passes, [b, c, z, y, x].

    affs: [b, c, z, y, x]; mask_and_objects: [b, c + 1, z, y, x], the labels after the mask.
    """
    samples = [
        np.add(*malis_weights(one, known[-1], neighborhood, known[:-1]))
        for one, known in zip(affs, mask_and_objects, strict=True)
    ]
    weights: NDArray[np.float32] = (np.stack(samples) / len(samples)).astype(np.float32)
    return weights


def _pass(kinds: Any, weighted: int, keys: Any, labels: Any, strides: Any) -> NDArray[np.float64]:
    """One pass, in which edges of the kind ``weighted`` have weights, [c * n]."""
    from lsd_experiments.malis import kernels

    positive = weighted == kernels.INSIDE
    parent = np.arange(len(labels), dtype=np.int32)
    total = (labels != 0).astype(np.int64)
    if not positive:
        kernels.join_inside(kinds, strides, parent, total)
    keyed = kernels.free_edges(kinds, weighted, keys, strides, parent)
    keyed.sort()
    edges = (keyed & np.uint64(0xFFFFFFFF)).astype(np.int64)
    pairs = kernels.count_pairs(edges, positive, labels, strides, parent, total)
    shares = np.zeros(len(kinds))
    shares[edges] = np.where(kinds[edges] == weighted, pairs, 0)
    shares /= shares.sum() or 1.0
    return shares


def _sort_keys(affs: NDArray[np.float32]) -> NDArray[np.uint32]:
    """Numbers that ascend where ``affs`` descend, for any float; 0 and -0 are alike."""
    bits = (affs + np.float32(0)).view(np.uint32)
    sign = np.uint32(0x80000000)
    return np.where(bits & sign, bits, ~bits & ~sign)
