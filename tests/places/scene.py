"""A part of a volume, in every form that a container has: a copy of the part in each format, and crops of the whole.

    whole   |--2--|----4----|-2-|    z; voxels are anisotropic, and nothing begins at 0
"""

import json
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import h5py
import numpy as np

from lsd_experiments.arrays import add_volume, create_stack, create_volume

SHAPE, BEGIN, SIZE = (8, 20, 22), (2, 4, 3), (4, 12, 14)  # voxels
INSIDE = tuple(slice(b, b + s) for b, s in zip(BEGIN, SIZE, strict=True))
CHANNELS = {"affs": 3, "lsds": 10}
PLACES = {"raw": "volumes/raw", "labels": "volumes/labels/neuron_ids", "mask": "volumes/labels/labels_mask",
          "affs": "volumes/affs", "lsds": "volumes/lsds"}


@dataclass(frozen=True)
class Scene:
    """The forms of one kind of volume, in ``directory``; each is made when it is asked for."""

    directory: Path
    kind: str
    voxel_size: tuple[float, float, float] = (40, 10, 8)

    @property
    def dataset(self) -> str:
        return PLACES[self.kind]

    @property
    def channels(self) -> int | None:
        return CHANNELS.get(self.kind)

    @property
    def offset(self) -> tuple[float, ...]:
        """Of the whole, nm."""
        return tuple(n * v for n, v in zip((5, 3, 7), self.voxel_size, strict=True))

    @property
    def begin(self) -> tuple[float, ...]:
        """Of the part, nm."""
        return tuple(o + b * v for o, b, v in zip(self.offset, BEGIN, self.voxel_size, strict=True))

    @property
    def size(self) -> tuple[float, ...]:
        """Of the part, nm."""
        return tuple(s * v for s, v in zip(SIZE, self.voxel_size, strict=True))

    @cached_property
    def values(self):
        generator = np.random.default_rng(1)
        if self.kind == "labels":
            return np.repeat(generator.integers(0, 5, (*SHAPE[:2], SHAPE[2] // 2), np.uint64), 2, axis=2)
        if self.kind == "mask":
            return generator.integers(0, 2, SHAPE, np.uint8)
        return generator.integers(0, 256, SHAPE if self.channels is None else (self.channels, *SHAPE), np.uint8)

    @property
    def part(self):
        return self.values[(..., *INSIDE)]

    def whole(self) -> Path:
        """A zarr with another dataset beside."""
        path = self.directory / "whole.zarr"
        if not path.exists():
            for dataset, values in ((self.dataset, self.values), ("other", self.values[..., ::-1])):
                made = create_volume(path, dataset, SHAPE, self.voxel_size, self.offset, values.dtype, channels=self.channels)
                made.write(made.box, values)
        return path

    def copy(self, name: str) -> Path:
        """Of the part, alone, in the format that ``name`` ends with."""
        path = self.directory / name
        if not path.exists():
            with add_volume(path, self.dataset, SIZE, self.voxel_size, self.begin, self.values.dtype, chunks=SIZE,
                            channels=self.channels) as made:
                made.write(made.box, self.part)
        return path

    def array(self) -> Path:
        """A zarr that is the array itself."""
        path = self.directory / "array.zarr"
        if not path.exists():
            shutil.copytree(self.copy("copy.zarr") / self.dataset, path)
        return path

    def loop(self) -> Path:
        """HDF5 with a group that holds itself, and the dataset under a second name."""
        path = self.directory / "loop.h5"
        if not path.exists():
            shutil.copy(self.copy("copy.h5"), path)
            with h5py.File(path, "r+") as file:
                file["volumes/again"] = file["volumes"]
                file["second"] = file[self.dataset]
        return path

    def stack(self) -> Path:
        """A TIFF file."""
        path = self.directory / "stack.tif"
        if not path.exists():
            with create_stack(path, SIZE, self.voxel_size, self.begin, self.values.dtype) as made:
                made.write(made.box, self.part)
        return path

    def crop(self, name: str, container: str, is_part: bool = True, **more) -> Path:
        """A crop file; ``container`` as it stands in it."""
        path = self.directory / name
        place = {"offset": self.begin, "size": self.size} if is_part else {}
        path.write_text(json.dumps({"container": container, **place, **more}))
        return path

    def named_crop(self) -> Path:
        self.whole()
        return self.crop("named.json", "whole.zarr", dataset=self.dataset)

    def plain_crop(self) -> Path:
        self.whole()
        return self.crop("plain.json", "whole.zarr")

    def crop_of_crop(self) -> Path:
        self.named_crop()
        return self.crop("outer.json", "named.json", is_part=False)

    def crop_of_stack(self) -> Path:
        self.stack()
        return self.crop("tiff.json", "stack.tif")


# Each form: what makes the container, and what is said as its dataset; None: what the commands' users say, its name.
FORMS = {
    "crop": (Scene.plain_crop, None),
    "crop that names its dataset": (Scene.named_crop, "-"),
    "crop of a crop": (Scene.crop_of_crop, "-"),
    "crop of a TIFF": (Scene.crop_of_stack, "-"),
    "zarr": (lambda scene: scene.copy("copy.zarr"), "-"),
    "zarr that is an array": (Scene.array, "-"),
    "N5": (lambda scene: scene.copy("copy.n5"), "-"),
    "HDF5": (lambda scene: scene.copy("copy.h5"), "-"),
    "HDF5 with loops": (Scene.loop, "-"),
    "TIFF": (Scene.stack, "-"),
}
OF_TIFF = {"TIFF", "crop of a TIFF"}  # without channels
ALONE = ["crop that names its dataset", "crop of a crop", "crop of a TIFF", "zarr that is an array", "TIFF"]  # need no dataset
