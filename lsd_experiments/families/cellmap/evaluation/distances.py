"""Hausdorff distances of matched objects: the farthest that a voxel of one is from the other, in nm.

Each is measured in the box around the two objects: the nearest voxel of either lies in it.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.families.cellmap.evaluation.matching import Pairs
from lsd_experiments.families.cellmap.evaluation.overlaps import Objects

THREADS = 2


def matched_distances(truth: Objects, prediction: Objects, pairs: Pairs, voxel_size: Sequence[float]) -> NDArray[np.float64]:
    """[m] nm, of each of the ``pairs``; voxels are points, as published."""
    from lsd_experiments.families.cellmap.evaluation.kernels import object_boxes

    if not len(pairs[0]):
        return np.zeros(0)
    size = np.asarray(voxel_size, np.float64)
    truth_ids, prediction_ids = truth.ids[pairs[0]], prediction.ids[pairs[1]]
    truth_boxes = object_boxes(truth.labels, truth.highest)
    prediction_boxes = object_boxes(prediction.labels, prediction.highest)

    def distance(pair: tuple[int, int]) -> float:
        one, other = pair
        a, b = truth_boxes[one], prediction_boxes[other]
        box = tuple(slice(min(a[2 * axis], b[2 * axis]), max(a[2 * axis + 1], b[2 * axis + 1])) for axis in range(3))
        return hausdorff(truth.labels[box], one, prediction.labels[box], other, size)

    with ThreadPoolExecutor(THREADS) as threads:
        found = list(threads.map(distance, zip(truth_ids.tolist(), prediction_ids.tolist(), strict=True)))
    return np.array(found, np.float64)


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
