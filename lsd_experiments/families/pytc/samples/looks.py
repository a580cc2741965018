"""Images and labels that were named the wrong way round, as far as their values tell for certain.

Voxels of labels have the id of their neighbour nearly everywhere, those of images hardly anywhere.
"""

import logging

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays import Volume
from lsd_experiments.arrays.alignments import check_same_alignment, mark_of
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box

logger = logging.getLogger(__name__)

SAMPLE = (16, 128, 128)  # voxels from the middle of a volume
DIFFER = 0.7  # share of the voxels that differ from the next one along every axis: of labels this is never so much
ALIKE, OBJECTS = 0.9, 0.65  # shares of those that do not differ along x, of ids: of all, and of those that are not background
LEAST, VALUES, IDS = 256, 17, 3  # pairs, different values, and different ids, by which to judge
WIDE = 4  # bytes: images are not of integers that wide


def check_looks(image: Volume, labels: Volume) -> None:
    """:raises UserError: if the labels are surely an image, or the image surely ids"""
    swapped = "If image and labels are named the wrong way round, change DATASET.IMAGE_NAME and LABEL_NAME (-dn and -ln)"
    if labels.channels is None and _is_noise(_sample(labels)):
        raise UserError(f"{labels.name}: most of its voxels differ from the next one, as in an image: no labels. "
                        f"{swapped}")
    if image.dtype.kind in "ui" and image.dtype.itemsize >= WIDE and image.channels is None and _is_ids(_sample(image)):
        raise UserError(f"{image.name}: is of type {image.dtype}, with objects of one value each, like ids: no image. {swapped}")


def check_alignments(image: Volume, labels: Volume, mask: Volume | None) -> None:
    """Say where only one of the volumes lies on an aligned stack: others may have been made by hand.

    :raises UserError: if they lie on different ones
    """
    for other in filter(None, (labels, mask)):
        if mark_of(image) and mark_of(other):
            check_same_alignment(image, other)
        elif mark_of(image) or mark_of(other):
            aligned, straight = (image, other) if mark_of(image) else (other, image)
            logger.warning("%s lies on an aligned stack (%s), and %s does not say so: see that they show the same place",
                           aligned.name, mark_of(aligned), straight.name)


def _sample(volume: Volume) -> NDArray[np.generic]:
    begin = tuple(max(0, (n - s) // 2) for n, s in zip(volume.shape, SAMPLE, strict=True))
    return volume.read(Box.of_shape(SAMPLE, begin).intersect(volume.box))


def _is_noise(values: NDArray[np.generic]) -> bool:
    """Whether most differ from their neighbours, whatever the order of axes and however thick the sections."""
    if len(np.unique(values)) < VALUES:
        return False
    pairs = [_neighbours(values, axis) for axis in range(3)]
    shares = [np.mean(one != other) for one, other in pairs if one.size >= LEAST]
    return bool(shares) and min(shares) > DIFFER


def _is_ids(values: NDArray[np.generic]) -> bool:
    """Whether there are objects of one value each. A mask may be an image, and so may a little of one in much that is black."""
    found, counts = np.unique(values, return_counts=True)
    one, other = _neighbours(values, 2)
    if len(found) < IDS or one.size < LEAST:
        return False
    alike, background = one == other, found[counts.argmax()]
    objects = alike[(one != background) | (other != background)]
    return bool(np.mean(alike) > ALIKE and np.mean(objects) > OBJECTS)


def _neighbours(values: NDArray[np.generic], axis: int) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
    size = values.shape[axis]
    return values.take(range(size - 1), axis), values.take(range(1, size), axis)
