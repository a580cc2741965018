"""Borders of labels: pixels that scores leave out, because nobody can say to whom they belong."""

import math

import numpy as np
from numpy.typing import NDArray


def near_border(labels: NDArray[np.integer], distance: float) -> NDArray[np.bool_]:
    """Where a pixel of another label lies near: at most ``distance`` pixels from a border, in its own section.

    A border are the pixels with another label above, below, left or right of them; the edge of the volume is none. Any label
    is one, 0 and the largest, too. A section without a border has none near by.

    :param labels: [z, y, x]
    :param distance: pixels; 0 takes the border itself
    """
    from lsd_experiments.evaluation.distance_kernels import border_pixels, section_distances

    border = np.empty(labels.shape, np.bool_)
    border_pixels(labels, border)
    if distance < 1:
        return border
    squared = np.empty(labels.shape[1:])
    for section in border:
        section_distances(section, 1.0, 1.0, squared)
        section[:] = np.sqrt(squared) <= distance
    return border


def halo_of(distance: float) -> tuple[int, int, int]:
    """How many voxels around a block must be read, so that :func:`near_border` is right in it."""
    reach = math.ceil(distance) + 1
    return 0, reach, reach
