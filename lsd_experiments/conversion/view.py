"""A volume as it is to be written, read box by box.

    source      [c, z, y, x]  (33, 20, 10) nm at (0, 40, 80) nm
    transposed  [c, x, y, z]  (10, 20, 33) nm at (80, 40, 0) nm: what was x, y, z in the file is z, y, x then

Every n-th voxel is voxel 0, n, 2n, ... of the source: nothing is averaged, and labels stay labels. The offset stays, too, since
the first voxel that is left is the source's first. (The published converter floors it to a multiple of the larger voxel
size, which moves a volume by up to n - 1 voxels of the source.)
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays import Volume, check_labels
from lsd_experiments.arrays.resampling import resampled
from lsd_experiments.arrays.striding import strided
from lsd_experiments.conversion.casting import Cast
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box, Nanometres, Voxels
from lsd_experiments.masks.masking import has_id

RAW_BYTES = 2  # of integers that are raw, or masks: longer ones are ids
READ_BYTES = 2**26  # of the source, read at once: large strides leave little of what is read


@dataclass(frozen=True)
class View:
    """``source`` as it is to be written.

    :param stride: n, of every n-th voxel along each spatial axis
    :param transpose: whether z, y, x are reversed; channels stay first
    :param keep: ids of labels that stay, where all others become 0; None: all stay
    :param exclude: ids of labels that become 0
    :param cast: to another type; None: it stays
    :param resample: (z, y, x) in nm of new voxels, see :mod:`lsd_experiments.arrays.resampling`; ``nearest``: as of labels, masks
    :param kind: ``labels`` or ``raw``; None: as it looks
    """

    source: Volume
    stride: int = 1
    transpose: bool = False
    keep: tuple[int, ...] | None = None
    exclude: tuple[int, ...] = ()
    cast: Cast | None = None
    resample: Nanometres | None = None
    nearest: bool = False
    kind: str | None = None

    def check(self) -> None:
        """Whether that can be written.

        :raises UserError: if the stride passes the end of the volume, ids to keep or exclude are named of what is no labels, or
            the types do not go together
        """
        for axis, size in zip("zyx", self.source.shape, strict=True):
            if self.stride > max(1, size):
                raise UserError(f"{self.source.name} has {size} voxels along {axis}, fewer than a step of {self.stride}. "
                                "Name a smaller --downsample")  # fmt: skip
        self._check_resampling()
        if self.keep is not None or self.exclude:
            check_labels(self.source)
        if self.cast is not None:
            self.cast.check(self.source)

    def _check_resampling(self) -> None:
        if self.resample is None:
            if self.nearest:
                raise UserError("--nearest: is for --resample. Give both, or none")
            return
        if self.stride > 1:
            raise UserError("--downsample and --resample: one of them says the voxels. Leave the other out")
        dtype = self.source.dtype
        if self.nearest:
            return
        if self.keep is not None or self.exclude or (dtype.kind in "ui" and dtype.itemsize > RAW_BYTES):
            raise UserError(f"{self.source.name} is of type {dtype}, as labels are, of which there is no mean. Add --nearest to "
                            "--resample; of raw, make it uint8 or uint16 first by --range")
        if self.is_labels:
            raise UserError(f"{self.source.name}: labels or a mask, by its name, of which there is no mean. Add --nearest to "
                            "--resample, or --kind raw, if it is raw")

    @property
    def is_labels(self) -> bool:
        """Whether it is labels, or a mask; as the viewers guess it, where :attr:`kind` does not tell."""
        from lsd_experiments.viewing.layers import Kind, guess_kind

        if self.kind is not None:
            return self.kind == "labels"
        return bool(self.keep is not None or self.exclude or self.nearest) or guess_kind(self.source) in (Kind.LABELS, Kind.MASK)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the result."""
        return self.source.dtype if self.cast is None else self.cast.dtype

    @property
    def shape(self) -> Voxels:
        """Voxels along the axes that are written as (z, y, x)."""
        return self._turn(self._sampled.shape)

    @property
    def box(self) -> Box:
        """All of the result."""
        return Box.of_shape(self.shape)

    @property
    def voxel_size(self) -> Nanometres:
        """Of the result, nm."""
        return self._turn(self._sampled.voxel_size)

    @property
    def offset(self) -> Nanometres:
        """Where the result's first voxel begins, nm."""
        return self._turn(self._sampled.offset)

    @property
    def chunks(self) -> Voxels | None:
        """About the source's chunks, in voxels of the result."""
        chunks = self._sampled.chunks
        return None if chunks is None else self._turn(chunks)

    @property
    def source_bytes(self) -> int:
        """Bytes of the source for each voxel of the result."""
        ratio = 1 if self.resample is None else math.ceil(math.prod(self.resample) / math.prod(self.source.voxel_size))
        return ratio * self.stride**3 * (self.source.channels or 1) * self.source.dtype.itemsize

    def read(self, box: Box) -> NDArray[Any]:
        """The voxels of ``box``, which lies inside, as [z, y, x] or [c, z, y, x]."""
        if self.stride == 1:
            return self._read(box)
        channels = () if self.source.channels is None else (self.source.channels,)
        values = np.empty((*channels, *box.shape), self.dtype)
        shift = [-b for b in box.begin]
        for piece in box.blocks(halve(box.shape, READ_BYTES // self.source_bytes)):
            part = piece.intersect(box)
            z, y, x = part.shift(shift).slices
            values[..., z, y, x] = self._read(part)
        return values

    def _read(self, box: Box) -> NDArray[Any]:
        begin = self._turn(box.begin)
        values = self._sampled.read(Box(begin, self._turn(box.end)))
        if self.keep is not None:
            values = values * has_id(values, self.keep)
        if self.exclude:
            values = values * ~has_id(values, self.exclude)
        if self.cast is not None:
            values = self.cast.apply(values, self.source if self.resample is None else self._sampled, begin, self.stride)
        return np.swapaxes(values, -1, -3) if self.transpose else values

    @cached_property
    def _sampled(self) -> Volume:
        if self.resample is not None:
            return resampled(self.source, self.resample, "labels" if self.nearest else "raw")
        return self.source if self.stride == 1 else strided(self.source, (self.stride,) * 3)

    def _turn(self, values: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(values)[::-1] if self.transpose else tuple(values)


def halve(shape: Sequence[int], voxels: int) -> Voxels:
    """``shape`` halved along its longest axis until it holds at most ``voxels``."""
    halved = list(shape)
    while math.prod(halved) > voxels and max(halved) > 1:
        longest = halved.index(max(halved))
        halved[longest] = -(-halved[longest] // 2)
    return tuple(halved)
