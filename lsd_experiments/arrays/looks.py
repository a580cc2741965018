"""What values tell of a volume: whether they are an image, or ids, as far as that is certain.

Voxels of labels have the id of their neighbour nearly everywhere, those of images hardly anywhere.
"""

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays.volume import Volume
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box

SAMPLE = (16, 128, 128)  # voxels of a place
MIDDLE = (0.5, 0.5, 0.5)
PLACES = (MIDDLE, *itertools.product((0.25, 0.75), repeat=3))  # that are looked at, in shares of the volume
DIFFER = 0.7  # share of the voxels that differ from the next one along every axis: of labels this is never so much
ALIKE, OBJECTS = 0.9, 0.65  # shares of those that do not differ along x, of ids: of all, and of those that are not background
LEAST, VALUES, IDS = 256, 17, 3  # pairs, different values, and different ids, by which to judge
NO_LABELS = "most of its voxels differ from the next one, as in an image: these are no labels"


def is_image(volume: Volume) -> bool:
    """Whether somewhere most voxels differ from their neighbours, whatever the order of axes and however thick the sections."""
    places = dict.fromkeys(_place(volume, shares) for shares in PLACES)  # of a small volume some are the same
    return any(_is_image(volume.read(place)) for place in places)


def _is_image(values: NDArray[np.generic]) -> bool:
    if len(np.unique(values)) < VALUES:
        return False
    pairs = [_neighbours(values, axis) for axis in range(3)]
    shares = [np.mean(one != other) for one, other in pairs if one.size >= LEAST]
    return bool(shares) and min(shares) > DIFFER


def check_no_image(labels: Volume) -> None:
    """:raises UserError: if ``labels`` are surely an image"""
    if is_image(labels):
        raise UserError(f"{labels.name}: {NO_LABELS}. Name the segmentation")


def is_ids(volume: Volume) -> bool:
    """Whether there are objects of one value each. A mask may be an image, and so may a little of one in much that is black."""
    values = volume.read(_place(volume, MIDDLE))
    found, counts = np.unique(values, return_counts=True)
    one, other = _neighbours(values, 2)
    if len(found) < IDS or one.size < LEAST:
        return False
    alike, background = one == other, found[counts.argmax()]
    objects = alike[(one != background) | (other != background)]
    return bool(np.mean(alike) > ALIKE and np.mean(objects) > OBJECTS)


def _place(volume: Volume, shares: Sequence[float]) -> Box:
    begin = tuple(max(0, min(int(n * share) - s // 2, n - s)) for n, s, share in zip(volume.shape, SAMPLE, shares, strict=True))
    return Box.of_shape(SAMPLE, begin).intersect(volume.box)


def _neighbours(values: NDArray[np.generic], axis: int) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
    size = values.shape[axis]
    return values.take(range(size - 1), axis), values.take(range(1, size), axis)
