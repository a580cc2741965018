"""Whether labels show what there is to learn: an object, and where it ends."""

import math
from collections.abc import Iterator

import numpy as np

from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box
from lsd_experiments.training.data import Sample

SIDE = 128  # voxels of a block along each axis
BLOCKS = 512  # of a larger volume, at most so many are looked at, 2**30 voxels; a good one shows in its first few


def check_showing(sample: Sample) -> None:
    """:raises UserError: if the labels that its labels mask counts are all 0, or all of one object; ``--force`` is named.

    Blocks are read at random, the same each time, until there are an object and its end. Where no voxel counts at all, it is for
    :func:`~lsd_experiments.training.places.find_places` to say so.
    """
    seen: set[int] = set()
    looked_at = 0
    for box in _blocks(sample):
        looked_at += 1
        seen.update(_ids(sample, box))
        if len(seen) > 1:
            return
    if not seen:
        return
    (only,) = seen
    masked = " where the labels mask counts" if sample.labels_mask else ""
    where = masked if looked_at == _count(sample) else f" in the {looked_at} blocks that were looked at{masked}"
    found = f"all labels are 0{where}: there is no object" if only == 0 else f"all labels are {only}{where}: no object ends"
    raise UserError(f"{sample.labels.name}: {found}, so that nothing can be learned. Name other labels, or pass --force")


def _count(sample: Sample) -> int:
    return math.prod(-(-size // SIDE) for size in sample.labels.shape)


def _blocks(sample: Sample) -> Iterator[Box]:
    """Blocks of the labels, the middle one first, then at random."""
    grid = [-(-size // SIDE) for size in sample.labels.shape]
    total = math.prod(grid)
    generator = np.random.default_rng(0)
    numbers = generator.permutation(total) if total <= BLOCKS else generator.choice(total, BLOCKS, replace=False)
    middle = int(np.ravel_multi_index([size // 2 for size in grid], grid))
    for number in dict.fromkeys([middle, *numbers.tolist()]):
        place = [SIDE * int(i) for i in np.unravel_index(number, grid)]
        yield Box.of_shape((SIDE,) * 3, place).intersect(sample.labels.box)


def _ids(sample: Sample, box: Box) -> list[int]:
    """Two labels of ``box`` that count, or the one, or none."""
    labels = sample.labels.read(box)
    if sample.labels_mask is not None:
        labels = labels[sample.labels_mask.read(box) != 0]
    if labels.size == 0:
        return []
    first = labels.flat[0]
    other = labels != first
    return [int(first), int(labels[other][0])] if other.any() else [int(first)]
