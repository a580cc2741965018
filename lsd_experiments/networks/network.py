"""The description of a network, and the arithmetic of its shapes.

The U-Nets are those of the published experiments: at each level two valid convolutions and, between levels, max pooling
that floors, and a transposed convolution back up; the encoder's map is centre-cropped to the decoder's. They come from two
libraries, whose U-Nets differ as :data:`ARCHITECTURES` says. Valid convolutions make the output smaller than the input by a
constant ``context``, but only for the *legal* input shapes, at which no pooling drops a remainder::

    zebrafinch, y and x:  484 -conv-> 480 -/3-> 160 -> 156 -/3-> 52 -> 48 -/3-> 16 -> 12     (down)
                          272 <-conv- 276 <-x3-  92 <-  96 <-x3- 32 <- 36 <-x3- 12           (up)

Where a U-Net crops to its stride, the output is a multiple of it, so that blocks beside each other meet the pooling alike::

    xpress:   132 -conv-> 128 -/2->  64 ->  60 -/2-> 30 -> 26 -/2-> 13 ->  9                 (down)
               40 <-conv-  44 <-crop- 48 <-x2- 24 <- 28 <-x2- 14 <- 18 <-x2- 9               (up)
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lsd_experiments.errors import UserError
from lsd_experiments.networks.shapes import LegalShapes, as_shape
from lsd_experiments.networks.shapes import Shape as Shape

if TYPE_CHECKING:
    import keras

KERNEL = 3  # all convolutions are 3 x 3 x 3, in all published setups
CONVOLUTIONS = 2  # per level and direction
LOST = CONVOLUTIONS * (KERNEL - 1)  # voxels that one level's convolutions take off each axis


@dataclass(frozen=True)
class Architecture:
    """What sets the U-Nets of two libraries apart.

    ``activation``: after each convolution but the heads'. ``up_activation``: after a transposed convolution, or None.
    ``up_keeps_fmaps``: whether a transposed convolution gives as many feature maps as it takes, not as many as the level has
    that it leads to. ``crops_to_stride``: whether what comes up to a level is cropped so that the level's output is a multiple
    of the voxels that it spans at the lowest level.
    """

    activation: str
    up_activation: str | None
    up_keeps_fmaps: bool
    crops_to_stride: bool


ARCHITECTURES = {
    "mala": Architecture("relu", "relu", up_keeps_fmaps=False, crops_to_stride=False),  # funkey/mala, commit efe319c
    "funlib": Architecture("relu6", None, up_keeps_fmaps=True, crops_to_stride=True),  # funlib.learn.jax, commit 6b3cd24
}


@dataclass(frozen=True)
class Input:
    """An input of a network: the array's name and its channels."""

    name: str = "raw"
    channels: int = 1


@dataclass(frozen=True)
class Head:
    """An output of a network: a 1 x 1 x 1 convolution with a sigmoid.

    ``checkpoint_name`` is what the published checkpoints and files call it, where that differs from ``name``. ``predicted``: the
    first channels, that predictions keep (default: all); the others are trained as an auxiliary task. ``neighborhood``: of
    affinities, the offset (z, y, x) of each channel's neighbour (default: the voxels before, of three); flips need it, and
    ``target``: the kind of what it is trained towards, one of :mod:`lsd_experiments.targets`, which training notes where the
    name does not say it.
    """

    name: str
    channels: int
    checkpoint_name: str | None = None
    predicted: int | None = None
    neighborhood: tuple[Shape, ...] | None = field(default=None, compare=False)
    target: str | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if self.neighborhood is not None:  # of a file's lists
            object.__setattr__(self, "neighborhood", tuple(as_shape(offset) for offset in self.neighborhood))
            if len(self.neighborhood) != self.channels:
                number = len(self.neighborhood)
                raise UserError(f"head {self.name}: its neighborhood has {number} offsets for {self.channels} channels")

    @property
    def predicted_channels(self) -> int:
        """How many channels predictions have."""
        return self.predicted or self.channels

    @property
    def published_name(self) -> str:
        """The name in published checkpoints and snapshots, such as ``embedding`` for ``lsds``."""
        return self.checkpoint_name or self.name


@dataclass(frozen=True)
class Network(LegalShapes):
    """A U-Net. ``num_fmaps`` at level 0 grows by ``fmap_inc_factor`` with each level.

    ``downsample_factors``: one (z, y, x) factor between each two levels. ``num_fmaps_out``: replaces the feature maps of
    the last two convolutions (the decoder's at level 0), that the heads see; default ``num_fmaps``. ``architecture``: whose
    U-Net it is, one of :data:`ARCHITECTURES`.
    """

    num_fmaps: int
    fmap_inc_factor: int
    downsample_factors: tuple[Shape, ...]
    heads: tuple[Head, ...]
    num_fmaps_out: int | None = None
    inputs: tuple[Input, ...] = (Input(),)
    architecture: str = "mala"

    def __post_init__(self) -> None:
        numbers = {"num_fmaps": self.num_fmaps, "fmap_inc_factor": self.fmap_inc_factor}
        if self.num_fmaps_out is not None:
            numbers["num_fmaps_out"] = self.num_fmaps_out
        for key, number in numbers.items():
            if not isinstance(number, int) or number < 1:
                raise UserError(f"{key} is {number!r}, not a whole number above 0")
        for factor in self.downsample_factors:
            if len(factor) != 3 or not all(isinstance(f, int) and f >= 1 for f in factor):
                raise UserError(f"downsample factor {factor!r}: give three whole numbers above 0, for (z, y, x)")
        check_arrays(self.heads, self.inputs)
        if self.architecture not in ARCHITECTURES:
            raise UserError(f"architecture '{self.architecture}': is none of {', '.join(ARCHITECTURES)}. Name one of them")

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        from lsd_experiments.networks.layers import parameters

        return parameters(self)

    @property
    def levels(self) -> int:
        """Levels of the U-Net, one more than there are downsamplings."""
        return len(self.downsample_factors) + 1

    @property
    def unet(self) -> Architecture:
        """What sets its U-Net apart."""
        return ARCHITECTURES[self.architecture]

    def fmaps(self, level: int) -> int:
        """Feature maps at ``level``."""
        return int(self.num_fmaps * self.fmap_inc_factor**level)

    def up_fmaps(self, level: int) -> int:
        """Feature maps that come up to ``level`` from the one below."""
        return self.fmaps(level + 1 if self.unet.up_keeps_fmaps else level)

    @property
    def stride(self) -> Shape:
        """Voxels per axis by which the input must move for the output to move alike: the product of the factors."""
        return as_shape(self._stride(0, axis) for axis in range(3))

    @property
    def context(self) -> Shape:
        """Voxels per axis by which the output is smaller than the input, over both sides together."""
        smallest = self.smallest_input_shape
        return as_shape(i - o for i, o in zip(smallest, self.output_shape(smallest), strict=True))

    @property
    def smallest_input_shape(self) -> Shape:
        """The smallest legal input shape, which gives at least one voxel of output."""
        return as_shape(self._legal_size(self._smallest_bottom(axis), axis) for axis in range(3))

    def output_shape(self, input_shape: Sequence[int]) -> Shape:
        """See :meth:`LegalShapes.output_shape`."""
        self.check_input_shape(input_shape)
        return as_shape(self._sizes(size, axis)[-1] for axis, size in enumerate(input_shape))

    def build(self, input_shape: Sequence[int], precision: str = "float32", quick: bool = False) -> "keras.Model":
        """The Keras model for a legal ``input_shape``: channels last, inputs and outputs named after their arrays.

        ``precision``: ``float32``, or ``bfloat16`` for convolutions in bfloat16 with float32 weights and outputs.
        ``quick``: for prediction, take fewer multiplications where that pays; outputs are equal up to rounding.
        """
        from lsd_experiments.networks.model import build_model

        return build_model(self, input_shape, precision, quick)

    def level_sizes(self, input_shape: Sequence[int]) -> tuple[tuple[Shape, ...], tuple[Shape, ...]]:
        """The shape at the entry of each level on the way down, and at its exit on the way up, both from level 0 on."""
        sizes = [self._sizes(size, axis) for axis, size in enumerate(input_shape)]
        down = tuple(as_shape(s[level] for s in sizes) for level in range(self.levels))
        up = tuple(as_shape(s[-1 - level] for s in sizes) for level in range(self.levels))
        return down, up

    def _sizes(self, size: int, axis: int) -> list[int]:
        """Along one axis: the size at the entry of each level down, then at the exit of each level up."""
        down = [size]
        for factor in self.downsample_factors:
            down.append((down[-1] - LOST) // factor[axis])
        up = [down[-1] - LOST]
        for level in reversed(range(self.levels - 1)):
            size = up[-1] * self.downsample_factors[level][axis] - LOST
            up.append(size - size % self._stride(level, axis) if self.unet.crops_to_stride else size)
        return down + up

    def _stride(self, level: int, axis: int) -> int:
        """Voxels of ``level`` that one of the lowest level spans."""
        return math.prod(factor[axis] for factor in self.downsample_factors[level:])

    def _legal_size(self, bottom: int, axis: int) -> int:
        """The legal input size with ``bottom`` voxels at the entry of the lowest level."""
        for factor in reversed(self.downsample_factors):
            bottom = bottom * factor[axis] + LOST
        return bottom

    def _smallest_bottom(self, axis: int) -> int:
        bottom = LOST + 1
        while min(self._sizes(self._legal_size(bottom, axis), axis)[self.levels :]) < 1:
            bottom += 1
        return bottom


def check_arrays(heads: tuple[Head, ...], inputs: tuple[Input, ...]) -> None:
    """:raises UserError: if there are no inputs or no heads, two have one name, or a head predicts channels that it lacks."""
    for what, arrays in (("heads", heads), ("inputs", inputs)):
        names = [array.name for array in arrays]
        if not names or len(set(names)) < len(names):
            raise UserError(f"{what} are {names}: give at least one, each with a name of its own")
    for head in heads:
        if not 1 <= head.predicted_channels <= head.channels:
            raise UserError(f"head {head.name}: {head.predicted} of its {head.channels} channels cannot be predicted")
