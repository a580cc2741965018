"""A volume: an array on disk, with the place that it has in the world.

``array`` is [z, y, x] or [c, z, y, x], possibly with further leading axes of length 1, which are dropped. Voxel v, of
shape (z, y, x), covers ``offset + v * voxel_size`` to ``offset + (v + 1) * voxel_size`` nm.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box, Nanometres, Voxels, to_nm


@dataclass(frozen=True)
class Volume:
    """An open array; nothing is read before :meth:`read`.

    ``array`` has ``shape``, ``dtype`` and takes slices; ``region`` is the part of it, in voxels, that is this volume.
    ``channels`` is the length of the channel axis, or None if there is none. ``opened_as``: of a crop,
    its file, and the dataset that was asked for.
    """

    container: str
    dataset: str
    array: Any = field(repr=False)
    voxel_size: Nanometres
    offset: Nanometres
    region: Box
    channels: int | None = None
    attrs: dict[str, Any] = field(default_factory=dict, repr=False)
    writable: bool = False
    opened_as: tuple[str, str] | None = None

    @property
    def place(self) -> tuple[str, str]:
        """Container and dataset that open this volume again, in another process: the crop file, where it is a crop."""
        return self.opened_as or (self.container, self.dataset)

    @property
    def name(self) -> str:
        """What messages call it: ``container:dataset``."""
        return f"{self.container}:{self.dataset}" if self.dataset else self.container

    @property
    def shape(self) -> Voxels:
        """Voxels along (z, y, x)."""
        return self.region.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of what :meth:`read` gives, in native byte order."""
        dtype: np.dtype[Any] = np.dtype(self.array.dtype).newbyteorder("=")
        return dtype

    @property
    def chunks(self) -> Voxels | None:
        """The chunks' shape in voxels (z, y, x), or None if the array is not chunked."""
        chunks = getattr(self.array, "chunks", None)
        return tuple(int(c) for c in chunks[-3:]) if chunks else None

    @property
    def box(self) -> Box:
        """All of the volume: from (0, 0, 0) to its shape."""
        return Box.of_shape(self.shape)

    @property
    def end(self) -> Nanometres:
        """Where the volume ends, nm."""
        return tuple(o + s for o, s in zip(self.offset, to_nm(self.shape, self.voxel_size), strict=True))

    def read(self, box: Box | None = None, fill: float = 0) -> NDArray[Any]:
        """The voxels of ``box`` (default: all) as [z, y, x] or [c, z, y, x].

        :param box: in voxels relative to the volume's first; may reach outside, where the result is ``fill``.
        :raises UserError: if a chunk cannot be decoded; it is named.
        """
        box = self.box if box is None else box
        inside = box.intersect(self.box)
        channels = () if self.channels is None else (self.channels,)
        if inside == box:
            return self._load(inside)
        values = np.full(channels + box.shape, fill, self.dtype)
        if not inside.empty:
            values[_all_channels(inside, box)] = self._load(inside)
        return values

    def write(self, box: Box, values: NDArray[Any]) -> None:
        """Store ``values``, [z, y, x] or [c, z, y, x] of the volume's dtype, at ``box``; what lies outside is dropped.

        Processes may write at the same time if their boxes share no chunk.
        """
        assert self.writable, f"{self.name} is open for reading only"
        assert values.dtype == self.dtype, f"{self.name} is {self.dtype}, the values are {values.dtype}"
        expected = box.shape if self.channels is None else (self.channels, *box.shape)
        assert values.shape == expected, f"{self.name}: values of shape {values.shape} for {expected}"
        inside = box.intersect(self.box)
        if not inside.empty:
            self.array[self._index(inside)] = values[_all_channels(inside, box)]

    def crop(self, box: Box) -> "Volume":
        """The part of this volume that is ``box``, which must lie inside."""
        assert self.box.contains(box), f"{box} is not inside of {self.name}"
        offset = tuple(o + n for o, n in zip(self.offset, to_nm(box.begin, self.voxel_size), strict=True))
        return replace(self, region=box.shift(self.region.begin), offset=offset)

    @property
    def _leading(self) -> int:
        """Leading axes that are dropped."""
        return len(self.array.shape) - 3 - (self.channels is not None)

    def _index(self, box: Box) -> tuple[Any, ...]:
        channels = () if self.channels is None else (slice(None),)
        return (*(0,) * self._leading, *channels, *box.shift(self.region.begin).slices)

    def _load(self, box: Box) -> NDArray[Any]:
        try:
            values = np.asarray(self.array[self._index(box)])
        except UserError:
            raise
        except Exception as error:
            self._name_broken_chunk(box)
            raise error
        return values.astype(self.dtype, copy=False)

    def _name_broken_chunk(self, box: Box) -> None:
        """Read ``box`` chunk by chunk, and say which one fails."""
        for chunk in self._chunk_boxes(box):
            index = (*(0,) * (len(self.array.shape) - 3), *chunk.slices)
            for channel in range(self.channels or 1):
                if self.channels is not None:
                    index = (*index[:self._leading], channel, *chunk.slices)
                try:
                    np.asarray(self.array[index])
                except UserError:
                    raise
                except Exception as error:
                    raise UserError(f"{self.name}: chunk {self._chunk_name(index)} cannot be read ({_reason(error)}). "
                                    "It is damaged or incomplete: fetch or make it again") from error

    def _chunk_boxes(self, box: Box) -> Iterator[Box]:
        """The parts of ``box`` (shifted to the array) that lie in one chunk each."""
        box = box.shift(self.region.begin)
        chunks = self.chunks or (1, *box.shape[1:])
        first = [b // c for b, c in zip(box.begin, chunks, strict=True)]
        stop = [-(-e // c) for e, c in zip(box.end, chunks, strict=True)]
        for number in itertools.product(*(range(a, b) for a, b in zip(first, stop, strict=True))):
            begin = tuple(n * c for n, c in zip(number, chunks, strict=True))
            yield Box.of_shape(chunks, begin).intersect(box)

    def _chunk_name(self, index: tuple[Any, ...]) -> str:
        """The chunk's number along each axis, as zarr names its file: ``0.3.1``."""
        begin = [i.start if isinstance(i, slice) else i for i in index]
        chunks = getattr(self.array, "chunks", None)
        if not chunks:
            return "at voxel " + str(tuple(begin[-3:]))
        return ".".join(str(b // c) for b, c in zip(begin, chunks, strict=True))


def _all_channels(part: Box, box: Box) -> tuple[Any, ...]:
    """The index of ``part`` in an array that holds ``box``."""
    return (..., *part.shift([-b for b in box.begin]).slices)


def _reason(error: Exception) -> str:
    """The last line of what ``error`` says, or its type."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
