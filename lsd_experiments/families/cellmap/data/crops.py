"""The crops of a split: raw, and of each annotated class the labels, on one grid of voxels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.families.cellmap.classes import exclude
from lsd_experiments.families.cellmap.configuration import ArrayInfo
from lsd_experiments.families.cellmap.data.images import Cache, Image
from lsd_experiments.families.cellmap.data.turning import Matrix
from lsd_experiments.families.cellmap.data.warping import on_grid, read_patch
from lsd_experiments.families.cellmap.split import Row
from lsd_experiments.geometry import Box, Nanometres, Voxels


@dataclass
class Crop:
    """One row of a split. Images are opened when they are needed; labels are those of the row's classes, or masks."""

    row: Row
    input: ArrayInfo
    target: ArrayInfo
    cache: Cache
    masks: bool = False

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{self.row.labels}:{self.row.group}"

    @property
    def classes(self) -> tuple[str, ...]:
        """Those that are annotated."""
        return self.row.classes

    @cached_property
    def labels(self) -> Mapping[str, Image]:
        """Of each class the labels; all grids go through where the first one begins."""
        def image(label: str, place: Nanometres | None) -> Image:
            return Image(self.row.labels, f"{self.row.group}/{label}", self.target["scale"], "labels", place, self.cache,
                         self.masks)

        first = image(self.classes[0], None)
        place = first.offset
        return {self.classes[0]: first} | {label: image(label, place) for label in self.classes[1:]}

    @cached_property
    def raw(self) -> Image:
        """Its raw, which goes on beyond the labels; the grid goes through where they begin."""
        place = self.labels[self.classes[0]].offset
        return Image(self.row.raw, self.row.raw_group, self.input["scale"], "raw", place, self.cache)

    def box(self, label: str | None = None) -> Box:
        """The voxels of the class, or of all of them, relative to the first voxel of the first class."""
        first = self.labels[self.classes[0]]
        boxes = []
        for name in [label] if label else self.classes:
            apart = np.subtract(self.labels[name].offset, first.offset) / first.scale
            boxes.append(self.labels[name].box.shift(np.rint(apart).astype(int).tolist()))
        return Box(tuple(map(min, zip(*(box.begin for box in boxes), strict=True))),
                   tuple(map(max, zip(*(box.end for box in boxes), strict=True))))

    def centre(self, begin: Sequence[int]) -> Nanometres:
        """The middle, in nm, of the target whose first voxel is at ``begin``, counted as in :meth:`box`."""
        first = self.labels[self.classes[0]]
        return tuple(o + (b + n / 2) * s for o, b, n, s in
                     zip(first.offset, begin, self.target["shape"], first.scale, strict=True))

    def has(self, label: str, begin: Sequence[int]) -> bool:
        """Whether the class is anywhere in the target at ``begin``."""
        image, first = self.labels[label], self.labels[self.classes[0]]
        apart = np.rint(np.subtract(first.offset, image.offset) / image.scale).astype(int)
        box = Box.of_shape(self.target["shape"], begin).shift(apart.tolist()).intersect(image.box)
        return not box.empty and bool(image.read(box).any())

    def read(self, centre: Sequence[float], matrix: Matrix,
             classes: Sequence[str]) -> tuple[NDArray[np.generic], NDArray[np.float32]]:
        """Raw [z, y, x] of the stored type, and labels [c, z, y, x] float32 of ``classes``: ids (1, of ``masks``), 0, and NaN
        where nobody annotated."""
        shape = self.target["shape"]
        centre = on_grid(self.labels[self.classes[0]], centre, shape, matrix)
        raw = read_patch(self.raw, centre, self.input["shape"], matrix)
        labels = np.empty((len(classes), *shape), np.float32)
        for number, label in enumerate(classes):
            if label in self.labels:
                read_patch(self.labels[label], centre, shape, matrix, labels[number])
            else:
                labels[number].fill(np.nan)
        return raw, labels


def infer_absent(labels: NDArray[np.float32], classes: Sequence[str]) -> None:
    """Make what is unknown 0, in place, where the voxel is of a class that excludes it.

    :param labels: [c, z, y, x]
    """
    for number, label in enumerate(classes):
        others = [other for other, name in enumerate(classes) if exclude(label, name)]
        unknown = np.isnan(labels[number]) if others else None
        if unknown is not None and unknown.any():
            labels[number][unknown & (np.nan_to_num(labels[others]) > 0).any(axis=0)] = 0


def tile_begins(box: Box, shape: Voxels) -> list[list[int]]:
    """Along each axis, where tiles of ``shape`` begin that cover ``box``; the last ends with it, one alone is in its middle."""
    found = []
    for begin, end, size in zip(box.begin, box.end, shape, strict=True):
        length = end - begin
        starts = [*range(0, length - size, size), length - size] if length > size else [-((size - length) // 2)]
        found.append([begin + start for start in starts])
    return found
