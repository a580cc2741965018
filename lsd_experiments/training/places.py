"""Where a sample's outputs may lie: wherever the labels mask, or of sparse labels the unlabeled mask, covers enough of one.

    labels mask      ..........################..........     # counts, . does not, or is padding
    an output              [---------]                        8 of 11 voxels: may lie here
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays import Volume, read_mask
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box, Voxels
from lsd_experiments.training.data import Sample


class Location(Protocol):
    """Where the next output lies."""

    @property
    def output_shape(self) -> Voxels: ...  # noqa: D102

    def draw(self) -> Voxels:
        """Where it begins, in voxels from raw's first."""


@dataclass(frozen=True)
class Places:
    """``allowed[i]``: whether an output of ``output_shape`` may begin at ``origin + i``, in voxels from raw's first."""

    allowed: NDArray[np.bool_]
    origin: Voxels
    output_shape: Voxels

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """The number of places in all sections up to each one, itself included."""
        return np.cumsum(np.count_nonzero(self.allowed, axis=(1, 2)))

    def draw(self) -> Voxels:
        """One of the places, all alike, by Python's random numbers, which gunpowder seeds: where the output begins."""
        number = random.randrange(int(self.counts[-1]))
        z = int(np.searchsorted(self.counts, number, side="right"))
        within = number - (int(self.counts[z - 1]) if z else 0)
        y, x = divmod(int(np.flatnonzero(self.allowed[z])[within]), self.allowed.shape[2])
        return tuple(o + i for o, i in zip(self.origin, (z, y, x), strict=True))


def find_places(sample: Sample, output_shape: Sequence[int], padding: Sequence[int], min_masked: float) -> Places:
    """All places where the mask covers at least ``min_masked`` of an output, within ``padding`` voxels around the labels.

    :raises UserError: if there is none; gunpowder would look for one for ever.
    """
    # Farther out, the mask cannot cover enough.
    padding = [min(pad, math.ceil((1 - min_masked) * size)) for pad, size in zip(padding, output_shape, strict=True)]
    covered = _cover(sample, output_shape, padding)
    needed = min_masked * math.prod(output_shape)
    if covered.size == 0 or covered.max() < needed:
        if _counted(sample) is None or _most(sample, output_shape) < min_masked:
            raise UserError(
                f"{sample.labels.name}: {tuple(sample.labels.shape)} voxels are too few: they cover at most "
                f"{_most(sample, output_shape):.0%} of an output of {tuple(output_shape)} voxels, {min_masked:.0%} are needed. "
                "Name a larger volume, or make the input smaller with --input-shape"
            )
        best = covered.max(initial=0) / math.prod(output_shape)
        raise UserError(
            f"{(_counted(sample) or sample.labels).name}: leaves no place to train on: the mask covers at most {best:.0%} "
            f"of an output of {tuple(output_shape)} voxels, {min_masked:.0%} are needed. Correct the mask, or make the input "
            "smaller with --input-shape"
        )
    origin = tuple(s - p for s, p in zip(sample.shift, padding, strict=True))
    allowed = covered >= needed
    for box in sample.kept:
        # Outputs that begin here touch it.
        touching = Box(tuple(b - o + 1 for b, o in zip(box.begin, output_shape, strict=True)), box.end)
        inside = touching.shift(padding).intersect(Box.of_shape(allowed.shape))
        if not inside.empty:
            allowed[inside.slices] = False
    if not allowed.any():
        raise UserError(f"{sample.labels.name}: no output of {tuple(output_shape)} voxels has a place beside what is kept for "
                        "validation. Keep less (dataset.toml), or make the input smaller with --input-shape")
    return Places(allowed, origin, tuple(output_shape))


def _most(sample: Sample, output_shape: Sequence[int]) -> float:
    """The share of an output that the labels cover at most, wherever it lies and whatever is masked."""
    return math.prod(map(min, sample.labels.shape, output_shape)) / math.prod(output_shape)


def _counted(sample: Sample) -> Volume | None:
    """The mask that must cover enough of an output; None if all labels do."""
    return sample.labels_mask if sample.unlabeled_mask is None else sample.unlabeled_mask


def _cover(sample: Sample, output_shape: Sequence[int], padding: Sequence[int]) -> NDArray[np.int32]:
    """The voxels that the mask covers in each box of ``output_shape`` within the padded labels."""
    counted = _counted(sample)
    mask = np.ones(sample.labels.shape, np.int32) if counted is None else read_mask(counted).astype(np.int32)
    counts = np.pad(mask, [(pad + 1, pad) for pad in padding])  # and a 0 in front, for the sums
    for axis, size in enumerate(output_shape):
        np.cumsum(counts, axis=axis, out=counts)
        length = max(0, counts.shape[axis] - size)
        front, back = [slice(None)] * 3, [slice(None)] * 3
        front[axis], back[axis] = slice(None, length), slice(counts.shape[axis] - length, None)
        counts = counts[tuple(back)] - counts[tuple(front)]
    return counts
