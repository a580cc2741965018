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
DIFFER = 0.5  # share of the voxels that differ from the next one along x: of labels this is never so much
ALIKE = 0.9  # share of those that do not, of ids
LEAST, VALUES = 256, 17  # pairs, and different values, by which to judge
WIDE = 4  # bytes: images are not of integers that wide


def check_looks(image: Volume, labels: Volume) -> None:
    """:raises UserError: if the labels are surely an image, or the image surely ids"""
    swapped = "If image and labels are named the wrong way round, change DATASET.IMAGE_NAME and LABEL_NAME (-dn and -ln)"
    if labels.channels is None and _share_of_changes(_sample(labels)) > DIFFER:
        raise UserError(f"{labels.name}: most of its voxels differ from the next one, as in an image: no labels. "
                        f"{swapped}")
    if image.dtype.kind in "ui" and image.dtype.itemsize >= WIDE and image.channels is None:
        sample = _sample(image)
        if _share_of_changes(sample, 2) < 1 - ALIKE:
            raise UserError(f"{image.name}: is of type {image.dtype}, with objects of one value each, like ids: no image. "
                            f"{swapped}")


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


def _share_of_changes(values: NDArray[np.generic], least: int = VALUES) -> float:
    """Of neighbours along x, how many differ; if there is too little to judge by, not a number, neither more nor less."""
    changes = values[..., 1:] != values[..., :-1]
    if changes.size < LEAST or len(np.unique(values)) < least:
        return float("nan")
    return float(np.mean(changes))
