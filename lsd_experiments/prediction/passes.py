"""A network over one block: what it reads for the voxels that are asked for.

    read     |--margin--|--lead--|---- asked for ----|--rest--|--margin--|     the input shape
    given               |--lead--|---- asked for ----|--rest--|                the output shape; lead and rest are dropped

Where blocks lie on the network's pooling makes a difference: it is the same for all voxels only if each output begins at a
multiple of the stride. As published, blocks are of the output shape, and there is no lead and no rest. *Seamless* ones are of
multiples of the stride, and the lead brings the beginning of the output to a multiple of it in the world, so that a voxel's
prediction does not depend on the blocks. Where patches overlap or are turned, a block is put together from some, by a
:class:`~lsd_experiments.prediction.tiling.Tiling`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box, Voxels
from lsd_experiments.networks.protocols import NetworkLike
from lsd_experiments.networks.shapes import Shape
from lsd_experiments.prediction.loading import TrainedNetwork
from lsd_experiments.prediction.tiling import Tiling


@dataclass(frozen=True)
class Pass:
    """A trained network, the input shape that it is built for, and the lead; shapes are (z, y, x) in voxels.

    ``tiling``: of which patches a block is put together; None: of one.
    """

    trained: TrainedNetwork
    input_shape: Shape
    lead: Shape = (0, 0, 0)
    tiling: Tiling | None = None

    @property
    def margin(self) -> Shape:
        """Voxels of context on each side."""
        return margin(self.trained.network)

    @property
    def output_shape(self) -> Shape:
        """Voxels that it gives."""
        return self.trained.network.output_shape(self.input_shape)

    @property
    def reach(self) -> Voxels:
        """Voxels that it reads further than what is asked for, at most."""
        further = self.lead if self.tiling is None else self.output_shape
        return tuple(m + f for m, f in zip(self.margin, further, strict=True))

    def read(self, asked: Box) -> Box:
        """What it reads for ``asked``."""
        if self.tiling is not None:
            return self.tiling.hull(asked, self.output_shape).grow(self.margin)
        return Box.of_shape(self.input_shape, [b - a - m for b, a, m in zip(asked.begin, self.lead, self.margin, strict=True)])

    def given(self, asked: Box) -> Box:
        """What it predicts for ``asked``, which lies within."""
        if self.tiling is not None:
            return asked
        return Box.of_shape(self.output_shape, [b - a for b, a in zip(asked.begin, self.lead, strict=True)])


def margin(network: NetworkLike) -> Shape:
    """Voxels of context on each side."""
    z, y, x = network.context
    return (z // 2, y // 2, x // 2)


def lead_of(network: NetworkLike, begin: Sequence[int]) -> Shape:
    """The lead of an output that is asked for from ``begin`` on, in voxels from the world's origin."""
    z, y, x = (b % s for b, s in zip(begin, network.stride, strict=True))
    return (z, y, x)


def seamless_shape(network: NetworkLike, input_shape: Shape, lead: Shape) -> Shape:
    """The voxels that a seamless block of ``input_shape`` writes: the most that are multiples of the stride.

    :raises UserError: if there are none.
    """
    output = network.output_shape(input_shape)
    z, y, x = ((o - a) // s * s for o, a, s in zip(output, lead, network.stride, strict=True))
    if min(z, y, x) < 1:
        needed = network.input_shape_for([a + s for a, s in zip(lead, network.stride, strict=True)])
        raise UserError(
            f"input shape {input_shape}: its output, {output}, is too small for seamless blocks. Take at least {needed}"
        )
    return (z, y, x)


def seamless_input_for(network: NetworkLike, wanted: Sequence[int], lead: Shape) -> Shape:
    """The smallest input shape of a seamless block that writes at least ``wanted`` voxels."""
    whole = [-(-w // s) * s + a for w, s, a in zip(wanted, network.stride, lead, strict=True)]
    return network.input_shape_for(whole)
