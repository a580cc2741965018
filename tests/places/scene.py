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

    def zarr3(self) -> Path:
        """zarr 3 of one chunk, which is bytes as they are."""
        path, meta = self.directory / "copy3.zarr", {"zarr_format": 3, "attributes": {}}
        array = path / self.dataset
        chunk = array / "/".join(["c", *"0" * self.part.ndim])
        if not path.exists():
            chunk.parent.mkdir(parents=True)
            (path / "zarr.json").write_text(json.dumps({**meta, "node_type": "group"}))
            (array.parent / "zarr.json").write_text(json.dumps({**meta, "node_type": "group"}))
            shape = list(self.part.shape)
            (array / "zarr.json").write_text(json.dumps({
                **meta, "node_type": "array", "shape": shape, "data_type": self.part.dtype.name, "fill_value": 0,
                "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": shape}},
                "chunk_key_encoding": {"name": "default"}, "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
                "attributes": {"resolution": self.voxel_size, "offset": self.begin}}))
            chunk.write_bytes(np.ascontiguousarray(self.part).tobytes())
        return path

    def precomputed(self) -> Path:
        """neuroglancer's format, of one chunk; all in x, y, z, channel."""
        path = self.directory / "precomputed"
        if not path.exists():
            begin = [round(b / v) for b, v in zip(self.begin, self.voxel_size, strict=True)][::-1]
            size = SIZE[::-1]
            scale = {"key": "8_10_40", "size": size, "chunk_sizes": [size], "resolution": self.voxel_size[::-1],
                     "voxel_offset": begin, "encoding": "raw"}
            (path / "8_10_40").mkdir(parents=True)
            (path / "info").write_text(json.dumps({"type": "image", "data_type": self.part.dtype.name,
                                                   "num_channels": self.channels or 1, "scales": [scale]}))
            name = "_".join(f"{b}-{b + s}" for b, s in zip(begin, size, strict=True))
            (path / "8_10_40" / name).write_bytes(np.ascontiguousarray(self.part).tobytes())
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

    def dataset_elsewhere(self) -> Path:
        """A file of several datasets, of which there is one."""
        self.whole()
        path, crop = self.directory / "several.json", {"container": "whole.zarr", "dataset": self.dataset}
        path.write_text(json.dumps({"datasets": {self.dataset: {**crop, "offset": self.begin, "size": self.size}}}))
        return path

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
    "dataset that lies elsewhere": (Scene.dataset_elsewhere, "-"),
    "zarr": (lambda scene: scene.copy("copy.zarr"), "-"),
    "zarr that is an array": (Scene.array, "-"),
    "N5": (lambda scene: scene.copy("copy.n5"), "-"),
    "HDF5": (lambda scene: scene.copy("copy.h5"), "-"),
    "HDF5 with loops": (Scene.loop, "-"),
    "TIFF": (Scene.stack, "-"),
    "zarr 3": (Scene.zarr3, "-"),
    "precomputed": (Scene.precomputed, "-"),
}
OF_TIFF = {"TIFF", "crop of a TIFF"}  # without channels
# Those that need no dataset.
ALONE = ["crop that names its dataset", "crop of a crop", "crop of a TIFF", "zarr that is an array", "TIFF", "precomputed"]
