"""How much more a positive voxel of each class counts: as many times as there are others, within limits. Imports PyTorch.

Counted over all that is annotated in the crops that train, at the scale of the targets, or coarser where that is much. Nothing is
written to where labels are.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from lsd_experiments.families.cellmap.data.images import Image
from lsd_experiments.families.cellmap.data.sides import Source
from lsd_experiments.geometry import Box

MOST = 100.0  # a class that is nearly nowhere does not drown all others
ENOUGH = 2**24  # voxels of a class in a crop that are looked at, about


def class_weights(samples: Source) -> Tensor:
    """[c] negative voxels for each positive one, 1 / :data:`MOST` to :data:`MOST`; 1 for a class that is nowhere."""
    counts = count(samples)
    weights = [min(MOST, max(1 / MOST, (known - positive) / positive)) if positive else 1.0 for positive, known in counts]
    return torch.tensor(weights, dtype=torch.float32)


def count(samples: Source) -> list[tuple[int, int]]:
    """Of each class, how many voxels are positive, and how many are known."""
    found = []
    for label in samples.settings.classes:
        of_crops = [_count(crop.labels[label]) for crop in samples.crops if label in crop.classes]
        found.append((sum(positive for positive, _ in of_crops), sum(known for _, known in of_crops)))
    return found


def _count(image: Image) -> tuple[int, int]:
    size = math.prod(image.shape)
    factor = max(1, math.ceil((size / ENOUGH) ** (1 / 3)))
    volume = image.volume if factor == 1 else Image(image.container, image.group, _times(image.scale, factor), "labels").volume
    depth = max(1, ENOUGH // max(1, volume.shape[1] * volume.shape[2]))
    positive = 0
    for begin in range(0, volume.shape[0], depth):
        slab = Box((begin, 0, 0), (min(begin + depth, volume.shape[0]), *volume.shape[1:]))
        positive += int(np.count_nonzero(volume.read(slab) > 0))
    return positive * factor**3, math.prod(volume.shape) * factor**3


def _times(scale: Sequence[float], factor: int) -> tuple[float, ...]:
    return tuple(s * factor for s in scale)
