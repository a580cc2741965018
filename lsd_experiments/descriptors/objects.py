"""All objects of a labelled block: the tables that the compiled part is given."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lsd_experiments.descriptors.kernels import LANES, describe
from lsd_experiments.descriptors.runs import runs_by_object
from lsd_experiments.descriptors.windows import moments, running_sums
from lsd_experiments.geometry import Box

Array = np.ndarray[Any, Any]
VARIANCE_FLOOR = 1e-3  # nm^2, as published ("numerical stability")


def describe_objects(labels: Array, roi: Box, sigma: Sequence[float], steps: Sequence[float],
                     downsample: Sequence[int], channels: Sequence[int]) -> Array:
    """Descriptors [c, z, y, x] float32 inside ``roi`` of ``labels`` [z, y, x].

    roi: a box in ``labels``, on multiples of ``downsample`` (voxels per axis). steps: nm per axis between the voxels
    that count, every ``downsample``-th. channels: keys of :data:`~.channels.COMPONENTS`.
    """
    labels = np.require(labels, np.uint64, ["C", "W"])
    sampled = np.require(labels[tuple(slice(None, None, d) for d in downsample)], requirements=["C", "W"])
    targets, target_starts, ids = runs_by_object(labels, np.array([roi.begin, roi.end]))
    runs, run_starts, run_ids = runs_by_object(sampled, np.array([(0, 0, 0), sampled.shape]))
    run_bounds = np.stack([run_starts[np.searchsorted(run_ids, ids, side)] for side in ("left", "right")], axis=1)

    kernels = [moments(s, step) for s, step in zip(sigma, steps, strict=True)]
    kernel_z, kernel_y = (np.ascontiguousarray(kernels[axis].T, np.float32).ravel() for axis in (0, 1))
    sums = running_sums(kernels[2], sampled.shape[2] + LANES)
    floor = np.array([VARIANCE_FLOOR / s**2 for s in sigma], np.float32)
    lsds = np.zeros((len(channels), *roi.shape), np.float32)
    describe(lsds, labels, np.array(roi.begin), np.array(downsample), np.array(channels), ids, targets, target_starts,
             runs, run_bounds, kernel_z, kernel_y, sums, kernels[2].shape[1] // 2, floor)
    return lsds
