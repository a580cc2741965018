"""Flows towards the middle of objects, of which cellpose separates instances: two channels, along y and x, section by section.

Heat enters at the middle of each object and spreads within it; the flow is the direction in which its logarithm rises.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.compiled import compiled

Labels = NDArray[Any]


def flows(labels: Labels) -> NDArray[np.float32]:
    """Unit vectors (y, x) of ``labels`` [z, y, x], 0 in the background: [2, z, y, x]."""
    found = np.zeros((2, *labels.shape), np.float32)
    for z, section in enumerate(labels):
        if section.any():
            found[:, z] = _section(np.pad(section.astype(np.int32), 1))
    return found


def _section(padded: NDArray[np.int32]) -> NDArray[np.float64]:
    from scipy.ndimage import find_objects

    objects = [(index, box) for index, box in enumerate(find_objects(padded), 1) if box is not None]
    middles = np.array([_middle(padded[box] == index, box) for index, box in objects])
    steps = 2 * max(sum(at.stop - at.start + 1 for at in box) for _, box in objects)
    heat = np.log(1 + _diffuse(padded, middles, steps))  # rounded as published, where there is little heat
    slope = np.stack([heat[2:, 1:-1] - heat[:-2, 1:-1], heat[1:-1, 2:] - heat[1:-1, :-2]])
    slope *= padded[1:-1, 1:-1] > 0
    unit: NDArray[np.float64] = slope / (1e-20 + np.sqrt((slope**2).sum(axis=0)))
    return unit


def _middle(mask: NDArray[np.bool_], box: tuple[slice, ...]) -> tuple[int, int]:
    """The voxel of the object that is nearest to the median of all."""
    y, x = np.nonzero(mask)
    nearest = np.argmin((x - np.median(x)) ** 2 + (y - np.median(y)) ** 2)
    return int(y[nearest]) + box[0].start, int(x[nearest]) + box[1].start


@compiled
def _diffuse(padded: Any, middles: Any, steps: int) -> Any:
    """Heat after so many steps, in each of which each middle gets 1, and each voxel the mean over its 9 neighbours' heat."""
    height, width = padded.shape
    heat, after = np.zeros((height, width)), np.zeros((height, width))
    for _ in range(steps):
        for middle in range(len(middles)):
            heat[middles[middle, 0], middles[middle, 1]] += 1
        for y in range(1, height - 1):
            for x in range(1, width - 1):
                own = padded[y, x]
                if own > 0:
                    total = 0.0
                    for j in range(y - 1, y + 2):
                        for i in range(x - 1, x + 2):
                            if padded[j, i] == own:
                                total += heat[j, i]
                    after[y, x] = total / 9
        heat, after = after, heat
    return heat
