"""The volumes that a training reads, and whether it can train on them."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from lsd_experiments import arrays, intensity
from lsd_experiments.arrays import Volume
from lsd_experiments.arrays.advice import exclude_command, mask_command
from lsd_experiments.arrays.labels import Command
from lsd_experiments.arrays.resampling import resampled
from lsd_experiments.datasets import Dataset
from lsd_experiments.errors import UserError
from lsd_experiments.fitting import check_axes, check_raw, say_outside
from lsd_experiments.geometry import Box, Voxels, to_voxels
from lsd_experiments.training.kept import check_part, kept_boxes

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sample:
    """A training volume: raw, the labels where there is raw, and their masks, on one voxel grid.

    ``labels_mask``: None if all labels count. ``unlabeled_mask``: of sparse labels, 1 on labelled voxels. ``shift``: voxels from
    raw's first to the labels' first. ``probability``: of being drawn, relative to other samples. ``raw_range``: the values of raw
    that become 0 and 1 (see :mod:`lsd_experiments.intensity`); None: by its type, and floats lie in [0, 1]. ``command``: what
    masks negative labels, for messages. ``kept``: the boxes of labels that are kept for validation, and hidden. ``only``: of a
    sample of validation, where the loss looks.
    """

    raw: Volume
    labels: Volume
    labels_mask: Volume | None
    shift: Voxels
    probability: float = 1.0
    unlabeled_mask: Volume | None = None
    raw_range: intensity.Range | None = None
    command: Command = exclude_command
    kept: tuple[Box, ...] = ()
    only: Box | None = None

    @property
    def masks(self) -> list[Volume]:
        """The masks that there are."""
        return [mask for mask in (self.labels_mask, self.unlabeled_mask) if mask is not None]


def find_samples(dataset: Dataset, containers: Sequence[str], resample: bool = False) -> list[Sample]:
    """The training volumes in ``containers``, all drawn alike, or the dataset's own, as often as it says.

    ``resample``: volumes of another voxel size than the dataset's are resampled to it, and labels to the grid of their raw.

    :raises UserError: if there is none, or one cannot be trained on.
    """
    if containers:
        return _trained_on([open_sample(dataset, container, resample=resample) for container in containers])
    for part in dataset.validation:
        check_part(dataset, part)
    found = dataset.training_volumes()
    if not found:
        raise UserError(
            f"{dataset.directory}: no training volumes ({', '.join(dataset.volumes)}). Run 01_data/fetch_data.py, or name some "
            "with --data"
        )
    samples = [open_sample(dataset, str(path), probability, resample) for path, probability in found]
    return _trained_on(samples)


def _trained_on(samples: list[Sample]) -> list[Sample]:
    """Without those of which all is kept for validation.

    :raises UserError: if none is left
    """
    found = [sample for sample in samples if sample.labels.box not in sample.kept]
    if not found:
        raise UserError(f"{samples[0].labels.name}: all labels are kept for validation. Keep less of them (dataset.toml), or "
                        "name other volumes with --data")
    return found


def open_sample(dataset: Dataset, container: str, probability: float = 1.0, resample: bool = False) -> Sample:
    """The training volume in ``container``; see :func:`find_samples`."""
    raw = arrays.open_volume(container, dataset.raw)
    labels = arrays.open_volume(container, dataset.labels)
    check_raw(raw, dataset.raw)
    arrays.check_labels(labels)
    check_axes(labels, raw)
    if resample:
        raw = resampled(raw, dataset.voxel_size, "raw")
    arrays.check_voxel_size(raw, dataset.voxel_size, f"that of {dataset.name}", "pass --resample")
    mask = _open_mask(container, dataset.labels_mask, labels)
    unlabeled = _open_mask(container, dataset.unlabeled_mask, labels) if dataset.unlabeled_mask else None
    if dataset.unlabeled_mask and unlabeled is None:
        raise UserError(
            f"{container}: has no {dataset.unlabeled_mask}, which says where {dataset.labels} is labelled. Make it with "
            "01_data/add_labels_mask.py and add_unlabeled_mask.py"
        )
    if resample:  # all of one grid, that of raw
        labels = resampled(labels, dataset.voxel_size, "labels", raw.offset)
        mask = mask and resampled(mask, dataset.voxel_size, "labels", raw.offset)
        unlabeled = unlabeled and resampled(unlabeled, dataset.voxel_size, "labels", raw.offset)
    arrays.check_voxel_size(labels, dataset.voxel_size, f"that of {dataset.name}", "pass --resample")
    in_raw, in_labels = arrays.overlap(raw, labels)
    if outside := say_outside(labels, raw, in_labels):
        logger.warning("%s", outside)
    if math.prod(raw.shape) <= arrays.SEARCHED:
        intensity.check_all_finite(raw)
    sample = Sample(
        raw,
        labels.crop(in_labels),
        mask and mask.crop(in_labels),
        in_raw.begin,
        probability,
        unlabeled and unlabeled.crop(in_labels),
        command=partial(mask_command, mask_dataset=dataset.labels_mask),
    )
    sample = replace(sample, kept=kept_boxes(dataset, sample.labels))
    arrays.check_ids(sample.labels, sample.masks, sample.command)
    return sample


def _open_mask(container: str, name: str, labels: Volume) -> Volume | None:
    """The mask ``name`` next to ``labels``, or None if there is none."""
    if not arrays.has_dataset(container, name):
        return None
    mask = arrays.open_volume(container, name)
    check_axes(mask, labels)
    arrays.check_voxel_size(mask, labels.voxel_size, f"that of {labels.name}")
    between = [a - b for a, b in zip(mask.offset, labels.offset, strict=True)]
    if mask.shape != labels.shape or mask.channels is not None or to_voxels(between, labels.voxel_size) != (0, 0, 0):
        raise UserError(
            f"{mask.name}: does not cover the same voxels as {labels.name}. Make it again with create_masks.py "
            "--overwrite (of XPRESS: add_labels_mask.py, add_unlabeled_mask.py)"
        )
    return mask
