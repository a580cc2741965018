"""Smooth outlines of labels (AUGMENTOR.SMOOTH), in each section: twice the Gaussian of each mask, and what is above a half.

Objects are smoothed in ascending order of their ids; where one grows over another, the later one stays.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.compiled import compiled

SIGMA = 2.0  # voxels
REACH = 8  # four times that
TIMES = 2
THRESHOLD = 0.5


def smooth_outlines(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Labels [z, y, x] numbered from 1 with few gaps, smoothed."""
    weights = np.exp(-0.5 * (np.arange(-REACH, REACH + 1) / SIGMA) ** 2)
    smooth = labels.copy()
    _smooth(smooth, int(labels.max(initial=0)), (weights / weights.sum()).astype(np.float32))
    return smooth


@compiled
def _smooth(labels: Any, most: int, weights: Any) -> None:
    depth, height, width = labels.shape
    for z in range(depth):
        section = labels[z]
        boxes = _boxes(section, most)
        for id_ in range(1, most + 1):
            y0, y1, x0, x1 = boxes[id_, 0], boxes[id_, 1], boxes[id_, 2], boxes[id_, 3]
            if y1 <= y0:
                continue
            mask = np.zeros((y1 - y0, x1 - x0), np.float32)
            for y in range(y0, y1):
                for x in range(x0, x1):
                    mask[y - y0, x - x0] = 1 if section[y, x] == id_ else 0
            for _ in range(TIMES):
                mask = _blur(mask, weights, x0 == 0, x1 == width, y0 == 0, y1 == height)
            for y in range(y0, y1):
                for x in range(x0, x1):
                    if mask[y - y0, x - x0] > 0:
                        section[y, x] = id_
                    elif section[y, x] == id_:
                        section[y, x] = 0


@compiled
def _boxes(section: Any, most: int) -> Any:
    """Of each id y begin, end, x begin, end; a mask never grows out of its own."""
    height, width = section.shape
    boxes = np.zeros((most + 1, 4), np.int64)
    boxes[:, 0], boxes[:, 2] = height, width
    for y in range(height):
        for x in range(width):
            box = boxes[section[y, x]]
            box[0], box[1] = min(box[0], y), max(box[1], y + 1)
            box[2], box[3] = min(box[2], x), max(box[3], x + 1)
    return boxes


@compiled
def _blur(mask: Any, weights: Any, at_left: bool, at_right: bool, at_top: bool, at_bottom: bool) -> Any:
    """1 where the mask, convolved, is above a half. Around it there is 0, or what is at its border, if that is the section's."""
    height, width = mask.shape
    reach = len(weights) // 2
    rows = np.zeros((height + 2 * reach, width), np.float32)
    row = np.zeros(width + 2 * reach, np.float32)
    for y in range(height):
        for x in range(width):
            row[reach + x] = mask[y, x]
        for x in range(reach):
            row[x] = mask[y, 0] if at_left else 0
            row[reach + width + x] = mask[y, width - 1] if at_right else 0
        for tap in range(len(weights)):
            weight = weights[tap]
            for x in range(width):
                rows[reach + y, x] += weight * row[tap + x]
    for y in range(reach):
        for x in range(width):
            rows[y, x] = rows[reach, x] if at_top else 0
            rows[reach + height + y, x] = rows[reach + height - 1, x] if at_bottom else 0
    blurred = np.zeros((height, width), np.float32)
    for y in range(height):
        for tap in range(len(weights)):
            weight = weights[tap]
            for x in range(width):
                blurred[y, x] += weight * rows[y + tap, x]
        for x in range(width):
            blurred[y, x] = 1 if blurred[y, x] > THRESHOLD else 0
    return blurred
