"""Images and labels that were named the wrong way round, as far as their values tell for certain."""

import logging

from lsd_experiments.arrays import Volume
from lsd_experiments.arrays.alignments import check_same_alignment, mark_of
from lsd_experiments.arrays.looks import NO_LABELS, is_ids, is_image
from lsd_experiments.errors import UserError

logger = logging.getLogger(__name__)

WIDE = 4  # bytes: images are not of integers that wide


def check_looks(image: Volume, labels: Volume) -> None:
    """:raises UserError: if the labels are surely an image, or the image surely ids"""
    swapped = "If image and labels are named the wrong way round, change DATASET.IMAGE_NAME and LABEL_NAME (-dn and -ln)"
    if labels.channels is None and is_image(labels):
        raise UserError(f"{labels.name}: {NO_LABELS}. {swapped}")
    if image.dtype.kind in "ui" and image.dtype.itemsize >= WIDE and image.channels is None and is_ids(image):
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
