"""A volume of any format, at any scale, read box by box, with what was read last kept.

    image = Image("a.zarr", "recon-1/em/fibsem-uint8", (8, 8, 8), "raw")
    image.read(Box((0, 0, 0), (64, 64, 64)))            # [z, y, x], of the stored type; 0 beyond the volume

Of the scale levels that fits best is read (the least relative difference, as published), and resampled where its voxels are
others: raw is interpolated, or averaged, labels are those of the nearest voxel. Each process opens what it reads for itself.
"""

import itertools
import os
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays import Volume
from lsd_experiments.arrays.resampling import Kind, resampled
from lsd_experiments.errors import UserError
from lsd_experiments.families.cellmap.aligning import best_level
from lsd_experiments.families.cellmap.manifest import Target
from lsd_experiments.families.cellmap.sources import Level, levels, open_tree
from lsd_experiments.geometry import Box, Nanometres, Voxels

MEMORY = 2**29  # bytes that are kept
LEAST, MOST = 32, 128  # voxels along an axis of a block that is kept


class Cache:
    """Blocks of voxels that were read last, ``limit`` bytes at most; each process has its own."""

    def __init__(self, limit: int = MEMORY) -> None:
        self.limit, self.size = limit, 0
        self._blocks: OrderedDict[Any, NDArray[Any]] = OrderedDict()
        self._process = os.getpid()

    def get(self, key: Any) -> NDArray[Any] | None:
        """The block, which is the last one to go from then on."""
        if self._process != os.getpid():
            self.clear()
        found = self._blocks.get(key)
        if found is not None:
            self._blocks.move_to_end(key)
        return found

    def put(self, key: Any, block: NDArray[Any]) -> None:
        """Keep ``block``, and let go of those that were not asked for for the longest time."""
        if block.nbytes > self.limit or key in self._blocks:
            return
        self._blocks[key] = block
        self.size += block.nbytes
        while self.size > self.limit:
            self.size -= self._blocks.popitem(last=False)[1].nbytes

    def clear(self) -> None:
        """Keep nothing."""
        self._blocks.clear()
        self.size, self._process = 0, os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        return {"limit": self.limit, "size": 0, "_blocks": OrderedDict(), "_process": 0}


@dataclass
class Image:
    """The image at ``group`` of ``container``, on the grid of voxels of ``scale`` (z, y, x) nm through ``place`` (nm).

    :param kind: "raw" or "labels"
    :param place: where a voxel begins; None: where the level that is read does
    :param mask: whether voxels are 1, as uint8, where they are above 0
    :raises UserError: when it is first read, if it is not there, or does not say where it is
    """

    container: str
    group: str
    scale: Nanometres
    kind: Kind
    place: Nanometres | None = None
    cache: Cache = field(default_factory=Cache, repr=False)
    mask: bool = False
    _volume: Volume | None = field(default=None, repr=False)
    _process: int = field(default=0, repr=False)

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{self.container}:{self.group}"

    @property
    def volume(self) -> Volume:
        """It on its grid, opened by this process."""
        if self._volume is None or self._process != os.getpid():
            self._volume, self._process = self._open(), os.getpid()
        return self._volume

    @property
    def offset(self) -> Nanometres:
        """Where its first voxel begins, nm."""
        return self.volume.offset

    @property
    def shape(self) -> Voxels:
        """Voxels of its grid."""
        return self.volume.shape

    @property
    def box(self) -> Box:
        """All of it."""
        return self.volume.box

    def read(self, box: Box, fill: float = 0) -> NDArray[Any]:
        """The voxels of ``box``, relative to its first; ``fill`` beyond it."""
        inside = box.intersect(self.box)
        if self.cache.limit < LEAST**3:
            return self._load(box, fill)
        values = np.full(box.shape, fill, self.dtype) if inside != box else np.empty(box.shape, self.dtype)
        if not inside.empty:
            for block, there in self._blocks(inside):
                part = inside.intersect(block)
                values[part.shift([-b for b in box.begin]).slices] = there[part.shift([-b for b in block.begin]).slices]
        return values

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of what :meth:`read` gives."""
        return np.dtype(np.uint8) if self.mask else self.volume.dtype

    def _load(self, box: Box, fill: float = 0) -> NDArray[Any]:
        values = self.volume.read(box, fill)
        return (values > 0).view(np.uint8) if self.mask else values

    def _blocks(self, box: Box) -> Iterator[tuple[Box, NDArray[Any]]]:
        """The blocks that ``box`` touches, layer by layer."""
        layers, *ranges = (range(b // s, -(-e // s)) for b, e, s in zip(box.begin, box.end, self._block_shape, strict=True))
        for layer in layers:
            yield from self._layer([(layer, *number) for number in itertools.product(*ranges)])

    def _layer(self, numbers: list[Voxels]) -> Iterator[tuple[Box, NDArray[Any]]]:
        """Blocks by their numbers; those that are not kept are read together."""
        volume, size = self.volume, self._block_shape
        begins = ([n * s for n, s in zip(number, size, strict=True)] for number in numbers)
        boxes = [Box.of_shape(size, begin).intersect(volume.box) for begin in begins]
        kept = [self.cache.get((self._key, number)) for number in numbers]
        lacking = [block for block, there in zip(boxes, kept, strict=True) if there is None]
        if not lacking:
            yield from zip(boxes, kept, strict=True)
            return
        around = Box(tuple(map(min, zip(*(b.begin for b in lacking), strict=True))),
                     tuple(map(max, zip(*(b.end for b in lacking), strict=True))))
        values = self._load(around)
        for number, block, there in zip(numbers, boxes, kept, strict=True):
            if there is None:
                there = values[block.shift([-b for b in around.begin]).slices]
                there = there.copy() if len(lacking) > 1 else there
                self.cache.put((self._key, number), there)
            yield block, there

    @property
    def _key(self) -> tuple[Any, ...]:
        return self.container, self.group, self.scale, self.place, self.kind, self.mask

    @property
    def _block_shape(self) -> Voxels:
        return tuple(min(MOST, max(LEAST, c)) for c in self.volume.chunks or (64, 64, 64))

    def _open(self) -> Volume:
        level = self.level()
        size, begin = level.voxel_size, level.begin
        if size is None:
            raise UserError(f"{level.name}: does not say how large its voxels are. Add scale and translation to its multiscales")
        container, _, path = level.name.rpartition(":")
        own = Volume(container, path, level.array, size, begin or (0.0, 0.0, 0.0), Box.of_shape(level.shape))
        return resampled(own, self.scale, self.kind, self.place)

    def level(self, scale: Sequence[float] | None = None) -> Level:
        """The stored level that fits best; it is checked to have voxels.

        :param scale: nm, other than this image's
        """
        wanted = tuple(scale or self.scale)
        found = levels(open_tree(self.container), self.group)
        if not found:
            raise UserError(f"{self.name}: there is no image. Correct the split, or make it again with csc make-datasplit")
        level = best_level(found, Target("", "", "", wanted, wanted, (1, 1, 1)))
        if min(level.shape) < 1:
            raise UserError(f"{level.name} has the shape {level.shape}: it holds no voxel. Fetch it again, or leave it out")
        return level

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_volume": None, "_process": 0}
