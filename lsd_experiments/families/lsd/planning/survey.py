"""What raw and labels hold, and what of it is worth a warning: in all of a small volume, in blocks of a large one."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lsd_experiments import intensity
from lsd_experiments.families.lsd.planning.objects import Objects, look_at
from lsd_experiments.families.lsd.planning.sections import RawLook, look_at_raw
from lsd_experiments.geometry import Box, to_nm
from lsd_experiments.training.data import Sample

WHOLE = 2**24  # voxels of labels up to which all are looked at
BLOCKS, SIDE = 16, 96  # of a larger volume: how many blocks, and their size as a cube of so many of the mean voxels
FAINT = 1 / 4  # of its type's range: raw that holds less is stretched
LISTED = 8
THIN = 2  # voxels that objects are wider than


@dataclass(frozen=True)
class Survey:
    """Of one training volume. ``is_whole``: whether all labels were looked at."""

    sample: Sample
    raw: RawLook
    objects: Objects
    is_whole: bool

    @property
    def voxel_size(self) -> tuple[float, ...]:
        """Nm (z, y, x)."""
        return self.sample.raw.voxel_size

    @property
    def extent(self) -> tuple[int, ...]:
        """Voxels (z, y, x) that have labels and raw."""
        return self.sample.labels.shape


def survey(sample: Sample) -> Survey:
    """Look at ``sample``."""
    labels = sample.labels
    boxes = list(_boxes(labels.shape, labels.voxel_size))
    raw = sample.raw.crop(Box.of_shape(labels.shape, sample.shift))
    return Survey(sample, look_at_raw(raw, sample.shift[0]), look_at(_read(sample, boxes), labels.voxel_size), len(boxes) == 1)


def _read(sample: Sample, boxes: Sequence[Box]) -> Iterator[NDArray[np.integer]]:
    """Labels of ``boxes``, 0 where a mask does not count them."""
    for box in boxes:
        labels = sample.labels.read(box)
        for mask in sample.masks:
            labels = np.where(mask.read(box) != 0, labels, 0)
        yield labels


def _boxes(shape: Sequence[int], voxel_size: Sequence[float]) -> Iterator[Box]:
    """All of a small volume; of a large one blocks that are about cubes in the world, at random places, the same each time."""
    if math.prod(shape) <= WHOLE:
        yield Box.of_shape(shape)
        return
    mean = math.prod(voxel_size) ** (1 / 3)
    sides = [min(size, max(1, round(SIDE * mean / voxel))) for size, voxel in zip(shape, voxel_size, strict=True)]
    generator = np.random.default_rng(0)
    for _ in range(BLOCKS):
        begin = [int(generator.integers(0, size - side, endpoint=True)) for size, side in zip(shape, sides, strict=True)]
        yield Box.of_shape(sides, begin)


def faint_range(survey: Survey) -> tuple[float, float] | None:
    """The values of uint8 raw that should become 0 and 1, where it holds little of what its type can; else None."""
    low, high = survey.raw.percentiles[0], survey.raw.percentiles[-1]
    return (low, high) if survey.sample.raw.dtype == np.uint8 and 0 < high - low < FAINT * 255 else None


def warnings(survey: Survey) -> list[str]:
    """What does not forbid a training, and may spoil it."""
    raw, objects, labels = survey.raw, survey.objects, survey.sample.labels
    kinds = (("of one value", raw.empty), ("a copy of the one before", raw.repeated),
             ("saturated (a fifth or more at the least or greatest value)", raw.saturated))
    found = [f"{survey.sample.raw.name}: {len(numbers)} of {raw.sections_seen} sections that were looked at are {what}: "
             f"{_listed(numbers)}" for what, numbers in kinds if numbers]
    if abs(survey.voxel_size[1] - survey.voxel_size[2]) > 1e-3 * survey.voxel_size[1]:
        found.append(f"{survey.sample.raw.name}: voxels of {by(survey.voxel_size)} nm are not alike along y and x, though "
                     "samples are rotated about z, and sections lie along z: turn the axes, or resample it")
    if span := faint_range(survey):
        found.append(f"{survey.sample.raw.name}: faint, from {intensity.show(span)}: dataset.toml stretches it")
    if 0 < len(objects.sizes) <= 2:
        found.append(f"{labels.name}: holds {len(objects.sizes)} id(s) beside 0. Is it a mask? Neurons need an id each")
    elif objects.labelled < 0.5:
        found.append(f"{labels.name}: {1 - objects.labelled:.0%} are 0, background, which training takes for true. If it is not "
                     "labelled, name a mask that is 1 where labels count, by --mask")
    if objects.greatest and labels.dtype.itemsize > 1:
        last = np.iinfo(labels.dtype).max
        found.append(f"{labels.name}: {objects.greatest:.2%} are {last}, the greatest id of {labels.dtype}, which programs write "
                     f"for background, and training takes for an object. If it is none: convert.py --exclude {last}")
    if 0 < objects.width < THIN * min(labels.voxel_size):
        found.append(f"{labels.name}: its ids change from voxel to voxel. Is it raw, not labels?")
    if survey.sample.raw.dtype.itemsize == 8 and survey.sample.raw.dtype.kind in "ui":
        found.append(f"{survey.sample.raw.name}: is {survey.sample.raw.dtype}, as ids are. Is it labels, not raw?")
    if objects.apart:
        found.append(f"{labels.name}: {len(objects.apart)} object(s) are parts that do not touch: {_listed(objects.apart)}. "
                     "Affinities tell within one object; what lies apart is learned as if it were two")
    return found


def shown(survey: Survey) -> list[tuple[str, str]]:
    """What there is, a line each."""
    raw, labels, objects = survey.sample.raw, survey.sample.labels, survey.objects
    looked = "all of it" if survey.is_whole else f"{BLOCKS} blocks of it"
    size = to_nm(labels.shape, labels.voxel_size)
    return [
        ("raw", f"{raw.name}: {raw.dtype}, {by(raw.shape)} voxels of {by(raw.voxel_size)} nm"),
        ("  values", "where there are labels, percentiles 0.1, 1, 50, 99, 99.9: "
                     + ", ".join(f"{value:g}" for value in survey.raw.percentiles)),
        ("labels", f"{labels.name}: {labels.dtype}, {by(labels.shape)} voxels where there is raw, {by(size)} nm; "
                   f"{looked} looked at"),
        ("  labelled", f"{objects.labelled:.1%}, background {1 - objects.labelled:.1%}"),
        ("  objects", _sizes(objects)),
        ("  width", f"{objects.width:g} nm at a typical voxel; the thinnest tenth: {by(objects.thin)} nm along z, y, x"),
    ]


def _sizes(objects: Objects) -> str:
    if not len(objects.sizes):
        return "none"
    largest, half, least = objects.sizes[0], np.median(objects.sizes), objects.sizes[-1]
    return f"{len(objects.sizes)}, of {largest:,} (the largest), {half:,.0f} (median) to {least:,} voxels (the smallest)"


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers[:LISTED])) + (", ..." if len(numbers) > LISTED else "")


def by(values: Sequence[float]) -> str:
    """``20 x 9 x 9``."""
    return " x ".join(f"{value:.10g}" for value in values)
