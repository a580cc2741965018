"""The crops of one side of a split, and how a patch of them becomes a sample. Imports PyTorch."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lsd_experiments.families.cellmap.configuration import Settings
from lsd_experiments.families.cellmap.data import turning
from lsd_experiments.families.cellmap.data.crops import Crop, infer_absent
from lsd_experiments.families.cellmap.data.images import MEMORY, Cache
from lsd_experiments.families.cellmap.data.preprocessing import Preprocessing
from lsd_experiments.families.cellmap.data.splitting import rows_of
from lsd_experiments.families.cellmap.split import SIDES, Row
from lsd_experiments.families.cellmap.transforms import is_mask
from lsd_experiments.geometry import Nanometres, Voxels


@dataclass(frozen=True)
class Place:
    """Where a sample is: its crop, where its target begins there (voxels), its centre (nm), the class that it was drawn for."""

    crop: str
    begin: Voxels
    centre: Nanometres
    label: str | None = None


@dataclass
class Batch:
    """``input``: [n, 1, *spatial]; ``target``: [n, c, *spatial], NaN where it is unknown. Axes of one voxel are left out."""

    iteration: int
    input: Tensor
    target: Tensor
    places: list[Place]

    def to(self, device: torch.device | str) -> "Batch":
        """The same on a device."""
        images, targets = (tensor.to(device, non_blocking=True) for tensor in (self.input, self.target))
        return Batch(self.iteration, images, targets, self.places)

    def pin_memory(self) -> "Batch":
        """The same where a GPU fetches it faster."""
        return Batch(self.iteration, self.input.pin_memory(), self.target.pin_memory(), self.places)


Sample = tuple[Tensor, Tensor, Place]


class Source:
    """The crops of one side, and how a patch of them becomes a sample."""

    def __init__(self, settings: Settings, side: str, memory: int = MEMORY, rows: Sequence[Row] | None = None) -> None:
        assert side in SIDES, f"{side} is none of {SIDES}"
        self.settings, self.side, self.cache = settings, side, Cache(memory)
        self.raw, self.target = Preprocessing.raw(settings, side == "train"), Preprocessing.target(settings)
        self.of_masks = is_mask(self.target.transform)
        self.crops = [Crop(row, settings.input_array_info, settings.target_array_info, self.cache, self.of_masks)
                      for row in (rows_of(settings) if rows is None else rows) if row.side == side]
        self.spatial = settings.spatial_transforms if side == "train" else {}

    @property
    def is_forced(self) -> bool:
        """Whether each batch is to have all classes."""
        return self.settings.force_all_classes in (True, self.side)

    def make(self, crop: Crop, begin: Sequence[int], matrix: turning.Matrix, seed: int, label: str | None = None) -> Sample:
        """The sample whose target begins at ``begin`` in ``crop``, before it is turned."""
        centre = crop.centre(begin)
        raw, labels = crop.read(centre, matrix, self.settings.classes)
        if self.settings.use_mutual_exclusion:
            infer_absent(labels, self.settings.classes)
        made = self.raw(as_tensor(raw), seed)
        if self.of_masks:
            targets = torch.from_numpy(labels.reshape(len(labels), *(n for n in labels.shape[1:] if n > 1)))
        else:
            targets = torch.cat([self.target(as_tensor(one), seed) for one in labels])
        return made, targets, Place(crop.name, tuple(map(int, begin)), centre, label)


def stack(iteration: int, made: Iterable[Sample], count: int) -> Batch:
    """The batch of ``count`` samples, each of which may go as soon as it is in it."""
    images, targets, places = None, None, []
    for number, (image, target, place) in enumerate(made):
        if images is None or targets is None:
            images, targets = image.new_empty((count, *image.shape)), target.new_empty((count, *target.shape))
        images[number], targets[number] = image, target
        places.append(place)
    assert images is not None
    assert targets is not None
    return Batch(iteration, images, targets, places)


def as_tensor(values: NDArray[np.generic]) -> Tensor:
    """[1, *spatial], without axes of one voxel; of a type that PyTorch can compute with."""
    kinds = {np.dtype(bool): np.uint8, np.dtype(np.uint32): np.float32, np.dtype(np.uint64): np.float32}
    values = values.astype(kinds.get(values.dtype, values.dtype), copy=False)
    return torch.from_numpy(values.reshape(1, *(n for n in values.shape if n > 1)))
