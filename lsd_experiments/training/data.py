"""The volumes that a training reads, and whether it can train on them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lsd_experiments import arrays
from lsd_experiments.arrays import Volume
from lsd_experiments.datasets import Dataset
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box, Voxels

SMALL = 2**28  # voxels of float raw that are read whole to look for what is not a number


@dataclass(frozen=True)
class Sample:
    """A training volume: raw, labels and their mask (None: all labels count), on one voxel grid.

    ``shift``: voxels from raw's first to the labels' first; ``labels_box``: the labelled voxels that raw covers.
    """

    raw: Volume
    labels: Volume
    labels_mask: Volume | None
    shift: Voxels


def find_samples(dataset: Dataset, containers: Sequence[str], directory: str | Path) -> list[Sample]:
    """The training volumes in ``containers``, or the dataset's own as ``01_data`` fetches them, next to ``directory``.

    :raises UserError: if there is none, or one cannot be trained on.
    """
    if not containers:
        funke = Path(directory).resolve().parents[2] / "01_data" / "funke" / dataset.name / "training"
        containers = [str(path) for name in dataset.volumes for path in sorted(funke.glob(name))]
        if not containers:
            raise UserError(
                f"{funke}: no training volumes ({', '.join(dataset.volumes)}). Fetch them there, or name some with --data"
            )
    return [open_sample(dataset, container) for container in containers]


def open_sample(dataset: Dataset, container: str) -> Sample:
    """The training volume in ``container``; see :func:`find_samples`."""
    raw = arrays.open_volume(container, dataset.raw)
    labels = arrays.open_volume(container, dataset.labels)
    arrays.check_voxel_size(raw, dataset.voxel_size, f"that of {dataset.name}")
    arrays.check_labels(labels)
    in_raw, in_labels = arrays.overlap(raw, labels)
    shift = tuple(a - b for a, b in zip(in_raw.begin, in_labels.begin, strict=True))
    mask = None
    if dataset.labels_mask in arrays.list_datasets(container):
        mask = arrays.open_volume(container, dataset.labels_mask)
        if mask.shape != labels.shape or mask.offset != labels.offset:
            raise UserError(
                f"{mask.name}: does not cover the same voxels as {labels.name}. Make it again with create_masks.py"
            )
    _check_raw(raw)
    return Sample(raw, labels, mask, shift)


def check_room(
    samples: Sequence[Sample], output_shape: Sequence[int], padding: Sequence[int], min_masked: float
) -> None:
    """Raise a :class:`UserError` if a sample has no place where the mask covers ``min_masked`` of an output.

    gunpowder would look for such a place for ever.
    """
    for sample in samples:
        name = (sample.labels_mask or sample.labels).name
        best = _best_cover(sample, output_shape, padding)
        if best < min_masked:
            raise UserError(
                f"{name}: leaves no place to train on: the mask covers at most {best:.0%} of an output of "
                f"{tuple(output_shape)} voxels, {min_masked:.0%} are needed. Correct the mask, or make the input smaller "
                "with --input-shape"
            )


def _best_cover(sample: Sample, output_shape: Sequence[int], padding: Sequence[int]) -> float:
    """The largest share of a box of ``output_shape`` that the mask covers, over all places in the padded mask."""
    if sample.labels_mask is None:
        cover = [min(1.0, labelled / size) for labelled, size in zip(sample.labels.shape, output_shape, strict=True)]
        return float(np.prod(cover))
    box = sample.labels_mask.box.grow(padding)
    counts = np.pad((sample.labels_mask.read(box) > 0).astype(np.int32), 1)[:-1, :-1, :-1]
    for axis in range(3):
        np.cumsum(counts, axis=axis, out=counts)
    for axis, size in enumerate(output_shape):
        size = min(size, counts.shape[axis] - 1)
        ahead, behind = [slice(None)] * 3, [slice(None)] * 3
        ahead[axis], behind[axis] = slice(size, None), slice(None, -size)
        counts = counts[tuple(ahead)] - counts[tuple(behind)]
    return float(counts.max() / np.prod(output_shape))


def _check_raw(raw: Volume) -> None:
    """Look for values that are not numbers now, where that is quick, rather than in a worker hours later."""
    if raw.channels is not None:
        raise UserError(f"{raw.name}: has {raw.channels} channels; raw is [z, y, x]. Name another dataset")
    one_voxel = raw.dtype.kind != "f" or np.prod(raw.shape) > SMALL
    arrays.to_unit_range(raw.read(Box((0, 0, 0), (1, 1, 1)) if one_voxel else None), name=raw.name)
