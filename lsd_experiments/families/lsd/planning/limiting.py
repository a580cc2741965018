"""Labels that are too many for training, which holds a number for each voxel: a part of them is taken."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from lsd_experiments.arrays import Volume, overlap
from lsd_experiments.geometry import Box, to_nm
from lsd_experiments.toml_text import whole

LARGEST = 2**28  # voxels of labels
TRIED, SIDE = 64, 64  # places that are looked at, and voxels of each along an axis


def part_of(labels: Volume, raw: Volume) -> tuple[Box, float] | None:
    """The part of ``labels`` to train on, and what share of it is labelled, as far as was seen; None: all of them.

    It lies where there is raw, is about a cube in the world, and of the places that are tried the one that is labelled most.
    """
    _, shared = overlap(raw, labels)
    if math.prod(shared.shape) <= LARGEST:
        return None
    shape = _cube(shared.shape, labels.voxel_size)
    free = [n - size for n, size in zip(shared.shape, shape, strict=True)]
    generator = np.random.default_rng(0)
    begins = [[n // 2 for n in free], *(generator.integers(0, free, endpoint=True).tolist() for _ in range(TRIED - 1))]
    boxes = [Box.of_shape(shape, begin).shift(shared.begin) for begin in begins]
    shares = [float((labels.read(_middle(box)) != 0).mean()) for box in boxes]
    best = int(np.argmax(shares))
    return boxes[best], shares[best]


def cropped(crop: dict[str, Any], labels: Volume, box: Box) -> dict[str, Any]:
    """``crop``, of ``box`` of ``labels``, which it stands for."""
    begin = [whole(o + n) for o, n in zip(labels.offset, to_nm(box.begin, labels.voxel_size), strict=True)]
    return {**crop, "offset": begin, "size": [whole(n) for n in to_nm(box.shape, labels.voxel_size)]}


def _cube(shape: Sequence[int], voxel_size: Sequence[float]) -> tuple[int, ...]:
    """The largest shape within ``shape`` of at most :data:`LARGEST` voxels that is about a cube."""
    low, high = 0.0, max(to_nm(shape, voxel_size))
    for _ in range(60):
        side = (low + high) / 2
        fits = math.prod(_within(shape, voxel_size, side)) <= LARGEST
        low, high = (side, high) if fits else (low, side)
    return _within(shape, voxel_size, low)


def _within(shape: Sequence[int], voxel_size: Sequence[float], side: float) -> tuple[int, ...]:
    return tuple(min(n, max(1, int(side / size))) for n, size in zip(shape, voxel_size, strict=True))


def _middle(box: Box) -> Box:
    shape = [min(SIDE, n) for n in box.shape]
    return Box.of_shape(shape, [b + (n - size) // 2 for b, n, size in zip(box.begin, box.shape, shape, strict=True)])
