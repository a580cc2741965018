"""Copy-paste (AUGMENTOR.COPYPASTE): the objects of a sample, turned, once more where there is background.

As published: objects are copied together, flipped in z or not and rotated by a multiple of 30 degrees, whatever meets least of
those that are there, or lies nearest of what does not; and what would come within 3 voxels of them is left out. Other than
published, where copies were seen in the image only, they have labels, too, and are placed where least is left out.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.families.pytc.samples.warping import STILL, Floats, Geometry

APART = 3  # voxels
STEP = 30  # degrees


def copy_paste(image: Floats, labels: NDArray[Any], most: float) -> None:
    """Paste into ``image`` and ``labels`` [z, y, x], in place, unless more than the share ``most`` of them is foreground."""
    there = labels > 0
    if not there.any() or there.mean() > most:
        return
    near = _near(there)
    geometry = min(_turns(labels.shape), key=lambda turn: _cost(_turned(there, turn), there, near))
    pasted = _turned(labels, geometry)
    pasted[near] = 0
    where = pasted > 0
    image[where] = geometry.image(image)[where]
    labels[where] = pasted[where] + labels.max()


def _turns(shape: tuple[int, ...]) -> list[Geometry]:
    """All but the one that leaves everything in place."""
    depth, height, width = shape
    centre = ((height - 1) / 2, (width - 1) / 2)
    places = np.stack(np.meshgrid(np.arange(height) - centre[0], np.arange(width) - centre[1], indexing="ij")).astype(np.float32)
    matrices = np.repeat(STILL[None], depth, axis=0)
    turns = []
    for degrees in range(0, 360, STEP):
        c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        grid = np.stack([c * places[0] - s * places[1], s * places[0] + c * places[1]]).astype(np.float32)
        turns += [Geometry(np.arange(depth)[::step].copy(), grid, matrices, centre) for step in (1, -1) if degrees or step < 0]
    return turns


def _turned(labels: NDArray[Any], turn: Geometry) -> NDArray[Any]:
    """What comes from outside of the sections is 0."""
    height, width = labels.shape[1:]
    turned = turn.labels(labels)
    outside = (np.abs(turn.grid[0]) > height / 2) | (np.abs(turn.grid[1]) > width / 2)
    turned[:, outside] = 0
    return turned


def _cost(copied: NDArray[np.bool_], there: NDArray[np.bool_], near: NDArray[np.bool_]) -> tuple[int, float]:
    """What will be left out, then the distance between the middles, relative to the shape."""
    overlap = int(np.count_nonzero(copied & near))
    if overlap or not copied.any():
        return overlap, math.inf
    middles = [np.array([at.mean() for at in np.nonzero(mask)]) / there.shape for mask in (copied, there)]
    return 0, float(((middles[0] - middles[1]) ** 2).sum())


def _near(there: NDArray[np.bool_]) -> NDArray[np.bool_]:
    from scipy.ndimage import maximum_filter

    near: NDArray[np.bool_] = maximum_filter(there, 2 * APART + 1)
    return near
