"""All objects of a labelled block: what is compiled, and what it is given."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lsd_experiments.descriptors.kernels import describe, find_runs
from lsd_experiments.descriptors.simd import LANES
from lsd_experiments.descriptors.windows import moments, running_sums
from lsd_experiments.geometry import Box

Array = np.ndarray[Any, Any]
VARIANCE_FLOOR = 1e-3  # nm^2, as published ("numerical stability")


def describe_objects(labels: Array, roi: Box, sigma: Sequence[float], steps: Sequence[float], downsample: Sequence[int],
                     channels: Sequence[int]) -> Array:
    """Descriptors [c, z, y, x] float32 inside ``roi`` of ``labels``.

    labels: [z, y, x] integer; roi: a box in it, on multiples of ``downsample``, which is (z, y, x) voxels; steps: (z, y, x) nm between
    the voxels that count, that is every ``downsample``-th; channels: of :data:`~lsd_experiments.descriptors.COMPONENTS`.
    """
    labels = np.ascontiguousarray(labels).astype(np.uint64, copy=False)
    sampled = np.ascontiguousarray(labels[tuple(slice(None, None, d) for d in downsample)])
    targets, starts, ids = _by_object(*find_runs(labels, np.array([roi.begin, roi.end])))
    runs, run_ids = _sorted(*find_runs(sampled, np.array([(0, 0, 0), sampled.shape])))
    run_starts = np.stack([np.searchsorted(run_ids, ids, side) for side in ("left", "right")], axis=1)

    kernels = [moments(s, step) for s, step in zip(sigma, steps, strict=True)]
    sums = running_sums(kernels[2], sampled.shape[2] + LANES)
    kernel_z, kernel_y = (np.ascontiguousarray(kernels[axis].T, np.float32).ravel() for axis in (0, 1))
    floor = np.array([VARIANCE_FLOOR / s**2 for s in sigma], np.float32)
    lsds = np.zeros((len(channels), *roi.shape), np.float32)
    describe(lsds, labels, np.array(roi.begin), np.array(downsample), np.array(channels), ids, targets, starts, runs, run_starts,
             kernel_z, kernel_y, sums, kernels[2].shape[1] // 2, floor)
    return lsds


def _sorted(runs: Array, ids: Array) -> tuple[Array, Array]:
    order = np.argsort(ids, kind="stable")
    return runs[order], ids[order]


def _by_object(runs: Array, ids: Array) -> tuple[Array, Array, Array]:
    """Runs sorted by object, [objects, 2] first and last + 1 run of each, and [objects] their ids, without background."""
    runs, ids = _sorted(runs, ids)
    first = np.flatnonzero(np.diff(ids, prepend=ids[:1] + 1)) if len(ids) else np.zeros(0, np.intp)
    bounds = np.stack([first, np.append(first[1:], len(ids))], axis=1) if len(ids) else np.zeros((0, 2), np.intp)
    return runs, bounds, ids[first]
