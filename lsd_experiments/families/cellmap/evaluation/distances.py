"""Hausdorff distances of matched objects: the farthest that a voxel of one is from the other, in nm.

Each is measured in the box around the two objects: the nearest voxel of either lies in it.
"""

import contextlib
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.families.cellmap.evaluation.matching import Pairs
from lsd_experiments.families.cellmap.evaluation.overlaps import Objects

THREADS = 2
LARGE = 2**25  # voxels; of larger boxes, one is in memory at a time


def matched_distances(truth: Objects, prediction: Objects, pairs: Pairs, voxel_size: Sequence[float]) -> NDArray[np.float64]:
    """[m] nm, of each of the ``pairs``; voxels are points, as published."""
    from lsd_experiments.families.cellmap.evaluation.kernels import object_boxes

    if not len(pairs[0]):
        return np.zeros(0)
    size = np.asarray(voxel_size, np.float64)
    truth_boxes = object_boxes(truth.labels, truth.ids)[pairs[0]]
    prediction_boxes = object_boxes(prediction.labels, prediction.ids)[pairs[1]]
    one_at_a_time = threading.Lock()

    def distance(number: int) -> float:
        a, b = truth_boxes[number], prediction_boxes[number]
        begins, ends = np.minimum(a[0::2], b[0::2]), np.maximum(a[1::2], b[1::2])
        box = tuple(slice(begin, end) for begin, end in zip(begins.tolist(), ends.tolist(), strict=True))
        is_large = np.prod(ends - begins, dtype=np.int64) > LARGE
        with one_at_a_time if is_large else contextlib.nullcontext():
            return hausdorff(truth.labels[box], int(truth.ids[pairs[0][number]]), prediction.labels[box],
                             int(prediction.ids[pairs[1][number]]), size)

    with ThreadPoolExecutor(THREADS) as threads:
        return np.array(list(threads.map(distance, range(len(pairs[0])))), np.float64)


def hausdorff(first: NDArray[np.uint32], one: int, second: NDArray[np.uint32], other: int,
              voxel_size: NDArray[np.float64]) -> float:
    """nm between the object ``one`` of ``first`` and ``other`` of ``second``, [z, y, x] around both, neither of them empty."""
    from lsd_experiments.families.cellmap.evaluation.kernels import directed, squared_distances

    largest = 0.0
    first_mask, second_mask = first == one, second == other
    if not np.array_equal(first_mask, second_mask):
        # One after the other, so that one table of distances is in memory.
        for labels, number, mask in ((first, one, second_mask), (second, other, first_mask)):
            largest = max(largest, directed(labels, number, mask, squared_distances(mask, voxel_size)))
    return float(np.sqrt(np.float64(largest)))
