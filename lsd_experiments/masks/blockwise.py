"""Masks of labels on disk, made block by block.

A block is some whole chunks of the mask, which are whole chunks of the labels: no chunk is read or written twice, and
what is in memory does not depend on the volume's size.
"""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays import Volume, add_volume, find_volume, overlap, read_mask
from lsd_experiments.arrays.alignments import carried
from lsd_experiments.arrays.creating import default_chunks
from lsd_experiments.arrays.hierarchy import clean
from lsd_experiments.arrays.labels import hide_negative
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box, Voxels
from lsd_experiments.masks.masking import as_unsigned, has_id, labels_mask, unlabeled_mask
from lsd_experiments.provenance import provenance, provenance_in
from lsd_experiments.stages.states import check_unchanged

STAGE = "create_masks"
CHUNK_VOXELS = 2**18  # of a chunk of the mask, about: 64 voxels along each axis
BLOCK_VOXELS = 2**22  # read at a time, about: 32 MB of uint64


@dataclass(frozen=True)
class MaskRule:
    """Which voxels count.

    :param excluded: ids whose voxels do not
    :param unlabeled: whether it is an unlabeled mask, see :func:`~lsd_experiments.masks.unlabeled_mask`
    :param include_zero: whether id 0 counts as labelled there
    """

    excluded: tuple[int, ...] = ()
    unlabeled: bool = False
    include_zero: bool = False

    def apply(self, labels: NDArray[np.integer], mask: NDArray[np.bool_] | None = None) -> NDArray[np.uint8]:
        """The mask of ``labels`` [z, y, x]; ``mask``: their labels mask, for an unlabeled one."""
        if self.unlabeled:
            return unlabeled_mask(labels, self.excluded, self.include_zero, mask)
        return labels_mask(labels, self.excluded)

    def record(self) -> dict[str, Any]:
        """The parameters of a provenance."""
        excluded = sorted({*map(as_unsigned, self.excluded)})
        return {"kind": "unlabeled", "excluded": excluded, "include_zero": self.include_zero} if self.unlabeled else {
            "kind": "labels", "excluded": excluded}  # fmt: skip


@dataclass(frozen=True)
class MaskTask:
    """The mask ``container:dataset`` of ``labels`` by ``rule``; ``within``: the labels mask of an unlabeled mask.

    ``option``: of the command, that takes further ids out.
    """

    labels: Volume
    rule: MaskRule
    container: str
    dataset: str
    within: Volume | None = None
    option: str = "--exclude"

    @property
    def name(self) -> str:
        """What messages call the mask."""
        return f"{self.container}:{self.dataset}"

    def check_place(self) -> None:
        """:raises UserError: if the mask has no name, or would take the place of its labels, or of their labels mask."""
        clean(self.dataset, self.container)
        for source in (self.labels, self.within):
            if source is not None and source.dataset == self.dataset and self._shares_container(source):
                raise UserError(f"{self.name}: is what the mask is made from. Name another dataset for the mask")

    def exclude_command(self, volume: Volume, ids: Collection[int]) -> str:
        """What takes ``ids`` out, too, for messages."""
        return " ".join(map(str, (self.option, *sorted({*ids, *self.rule.excluded}))))

    def provenance(self) -> dict[str, Any]:
        """Where the mask comes from."""
        place = {"shape": self.labels.shape, "voxel_size": self.labels.voxel_size, "offset": self.labels.offset}
        inputs = {"labels": self._describe(self.labels)}
        if self.within is not None:
            inputs["labels_mask"] = self._describe(self.within)
        return provenance(STAGE, {**self.rule.record(), **place}, inputs)

    def _describe(self, volume: Volume) -> str:
        """``volume``, such that a mask moves with the container it shares with its labels; its voxels are read once only."""
        made = provenance_in(volume.attrs)
        if "date" in made:
            return f"{Path(volume.container).name}:{volume.dataset} of {made['date']}"
        if self._shares_container(volume):
            return volume.dataset
        return volume.name if "://" in volume.container else f"{Path(volume.container).resolve()}:{volume.dataset}"

    def _shares_container(self, volume: Volume) -> bool:
        return Path(volume.container).resolve() == Path(self.container).resolve()


def is_made(task: MaskTask) -> bool:
    """Whether the mask is there, and made like this.

    :raises UserError: if it is there, and was made otherwise, or does not say how.
    """
    found = find_volume(task.container, task.dataset)
    if found is None:
        return False
    check_unchanged(task.name, found.attrs.get("provenance"), task.provenance())
    return True


def write_mask(task: MaskTask, overwrite: bool = False, progress: Callable[[int], Any] = lambda voxels: None) -> float:
    """Make the mask; the share of voxels that count, 0 to 1.

    It appears when it is whole. ``progress`` is told of voxels that are done.

    :raises UserError: if it is there and not ``overwrite``, its labels cannot be read, or another run is adding to the container.
    """
    labels, counting = task.labels, 0
    chunks = grow(labels.chunks or default_chunks(labels.shape), labels.shape, CHUNK_VOXELS)
    shape = grow(chunks, labels.shape, BLOCK_VOXELS)
    into = add_volume(
        task.container, task.dataset, labels.shape, labels.voxel_size, labels.offset, np.uint8,
        chunks=[min(c, s) for c, s in zip(chunks, labels.shape, strict=True)],
        attrs={"provenance": {**task.provenance(), **carried(labels)}}, overwrite=overwrite)  # fmt: skip
    with into as volume:
        process = _block_function(task, volume)
        for block in labels.box.blocks(shape):
            counting += process(block.intersect(labels.box))
            progress(math.prod(block.intersect(labels.box).shape))
    return counting / max(1, math.prod(labels.shape))


def _block_function(task: MaskTask, volume: Volume) -> Callable[[Box], int]:
    """What masks one block of the labels into ``volume``, and says how many of its voxels count."""
    within = task.within
    shift: Voxels = (0, 0, 0)
    if within is not None:
        in_labels, in_mask = overlap(task.labels, within)
        shift = tuple(m - n for m, n in zip(in_mask.begin, in_labels.begin, strict=True))

    def process(box: Box) -> int:
        counted = None if within is None else read_mask(within, box.shift(shift))
        labels = task.labels.read(box)

        def hidden() -> NDArray[np.bool_]:
            excluded = has_id(labels, task.rule.excluded)
            return excluded if counted is None else excluded | ~counted

        hide_negative(labels, hidden, task.labels, box, task.exclude_command)  # or they are refused
        mask = task.rule.apply(labels, counted)
        volume.write(box, mask)
        return int(np.count_nonzero(mask))

    return process


def grow(block: Sequence[int], shape: Sequence[int], voxels: int) -> Voxels:
    """``block`` doubled along its shortest axis while it holds at most ``voxels``, and does not cover ``shape`` there."""
    grown = list(block)
    while 2 * math.prod(grown) <= voxels:
        axes = [axis for axis, size in enumerate(shape) if grown[axis] < size]
        if not axes:
            break
        grown[min(axes, key=lambda axis: grown[axis])] *= 2
    return tuple(grown)
