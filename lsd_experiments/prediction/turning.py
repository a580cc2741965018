"""Networks on flipped and transposed blocks: what comes out, brought back to the block's own axes.

An affinity is between a voxel and its neighbour, a descriptor is an offset or a moment along axes: turning the array back does
not turn these. Where the network sees x reversed, the neighbour *before* a voxel is the one *behind* it in the volume::

    volume     a b c d      affs[x] of voxel c: (b, c)
    reversed   d c b a      affs[x] of voxel c: (d, c), which in the volume is that of voxel d: it is one voxel off
                            affs[x] of voxel b: (c, b), which is the one that is looked for

and where it sees x and y exchanged, so are the channels of x and y. A voxel at the block's end lacks what is one voxel off, so
that patches keep less than the network gives: their *core*. Descriptors: an offset d along a reversed axis is -d, which is stored
as 1 minus what d is; so is the correlation of a reversed axis with another one. In the background all descriptors are 0, and stay
so: see :func:`mirrored`.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box, Voxels
from lsd_experiments.networks.network import Head
from lsd_experiments.networks.protocols import Arrays, Model, Outputs
from lsd_experiments.targets import DIRECT, Affinities, LocalShapeDescriptors

AXES = "zyx"
AFFS, LSDS = Affinities.name, LocalShapeDescriptors.name  # the heads whose channels have directions, if nothing else says
PLAIN = "plain"
CORRELATIONS = (6, 7, 8)  # channels of descriptors: zy, zx, yx
PAIRS = ((0, 1), (0, 2), (1, 2))  # their axes
DESCRIPTORS = 10
LEAST = 0.25  # of three correlations of one object, the largest is at least -1/2, and stored as at least this


@dataclass(frozen=True)
class Turn:
    """``flipped``: the axes (z, y, x) that are reversed; ``order``: then, which axis comes first, second, third."""

    flipped: tuple[bool, ...] = (False, False, False)
    order: Voxels = (0, 1, 2)

    def forward(self, array: NDArray[Any]) -> NDArray[Any]:
        """``array`` [..., z, y, x] turned."""
        lead = array.ndim - 3
        flipped: NDArray[Any] = array[self._reversed]
        return flipped.transpose(*range(lead), *(lead + axis for axis in self.order))

    def back(self, array: NDArray[Any]) -> NDArray[Any]:
        """What :meth:`forward` gave, as it was."""
        lead = array.ndim - 3
        ordered = array.transpose(*range(lead), *(lead + self.order.index(axis) for axis in range(3)))
        flipped: NDArray[Any] = ordered[self._reversed]
        return flipped

    @property
    def _reversed(self) -> Any:
        return (..., *(slice(None, None, -1 if one else 1) for one in self.flipped))

    def offset_back(self, offset: Sequence[int]) -> Voxels:
        """Where an offset in turned axes leads in the volume's."""
        found = [0, 0, 0]
        for steps, axis in zip(offset, self.order, strict=True):
            found[axis] = -steps if self.flipped[axis] else steps
        return tuple(found)


@dataclass(frozen=True)
class Source:
    """Where a channel comes from: a ``channel`` of what was turned back, read ``shift`` voxels off, ``mirrored``."""

    channel: int
    shift: Voxels = (0, 0, 0)
    mirrored: bool = False


def turns(flips: str = "", transposes: str = "") -> tuple[Turn, ...]:
    """All combinations of flips along some axes and orders of some axes ("yx"), the plain one first."""
    axes = [AXES.index(axis) for axis in AXES if axis in transposes]
    flipped = list(itertools.product(*((False, True) if axis in flips else (False,) for axis in AXES)))
    return tuple(Turn(flip, order) for order in _orders(axes) for flip in flipped)


def _orders(axes: Sequence[int]) -> Iterator[Voxels]:
    for several in itertools.permutations(axes):
        order = [0, 1, 2]
        for place, axis in zip(axes, several, strict=True):
            order[place] = axis
        yield tuple(order)


def head_sources(head: Head, turn: Turn, parity: bool = False) -> tuple[Source, ...]:
    """Of each channel that is predicted of ``head``, where it comes from if the network saw the block turned.

    Heads but affinities and descriptors are taken for numbers without a direction. ``parity``: so are these, which is how PyTorch
    Connectomics does it.

    :raises UserError: if it is not known how channels turn, or a neighbour's mirror image is no channel
    """
    number = head.predicted_channels
    kind = _kind(head)
    if parity or kind == PLAIN or turn == Turn():
        return tuple(Source(channel) for channel in range(number))
    if kind == LocalShapeDescriptors.kind:
        if number != DESCRIPTORS:
            raise UserError(f"flips: {head.name} has {number} channels, not the {DESCRIPTORS} of descriptors. Leave flips out")
        return descriptor_sources(turn)
    neighborhood = head.neighborhood or (DIRECT if number == len(DIRECT) else None)
    if neighborhood is None:
        raise UserError(f"flips: nothing says which neighbours the {number} channels of {head.name} are. Write them into "
                        "config.json: \"neighborhood\": [[-1, 0, 0], ...] of the head")
    return affinity_sources(neighborhood[:number], turn)


def _kind(head: Head) -> str:
    """What the channels of ``head`` are: as its training noted, or its neighborhood says; else by its name."""
    if head.target is not None:
        return head.target if head.target in (Affinities.kind, LocalShapeDescriptors.kind) else PLAIN
    if head.neighborhood is not None:
        return Affinities.kind
    return {AFFS: Affinities.kind, LSDS: LocalShapeDescriptors.kind}.get(head.name, PLAIN)


def affinity_sources(neighborhood: Sequence[Voxels], turn: Turn) -> tuple[Source, ...]:
    """See :func:`head_sources`; channel k is the affinity between a voxel v and v + neighborhood[k]."""
    found: dict[int, Source] = {}
    known = [tuple(offset) for offset in neighborhood]
    for channel, offset in enumerate(known):
        leads = turn.offset_back(offset)
        reverse = tuple(-steps for steps in leads)
        if leads in known:
            found[known.index(leads)] = Source(channel)
        elif reverse in known:  # the other voxel's channel
            found[known.index(reverse)] = Source(channel, shift=reverse)
        else:
            raise UserError(f"flips: the neighbour {offset} becomes {leads}, which is no channel. Leave out flips or transposes")
    if len(found) < len(known):
        missing = next(offset for channel, offset in enumerate(known) if channel not in found)
        raise UserError(f"flips: no channel becomes that of the neighbour {missing}. Leave out flips or transposes")
    return tuple(found[channel] for channel in range(len(known)))


def descriptor_sources(turn: Turn) -> tuple[Source, ...]:
    """See :func:`head_sources`; channels: :data:`lsd_experiments.descriptors.COMPONENTS`."""
    place = [turn.order.index(axis) for axis in range(3)]  # of each axis among the turned ones
    flipped = turn.flipped
    offsets = [Source(place[axis], mirrored=flipped[axis]) for axis in range(3)]
    variances = [Source(3 + place[axis]) for axis in range(3)]
    correlations = []
    for a, b in PAIRS:
        first, second = sorted((place[a], place[b]))
        correlations.append(Source(CORRELATIONS[PAIRS.index((first, second))], mirrored=flipped[a] != flipped[b]))
    return (*offsets, *variances, *correlations, Source(9))


def mirrored(values: NDArray[np.float32], descriptors: NDArray[np.float32]) -> NDArray[np.float32]:
    """1 - ``values`` [z, y, x], a channel of ``descriptors`` [10, z, y, x], inside of objects, and ``values`` in the background.

    Of an object the largest of three correlations is 0.25 or more, in the background it is 0; a network's values between the
    two are mirrored in part.
    """
    inside = np.minimum(descriptors[list(CORRELATIONS)].max(axis=0) / np.float32(LEAST), np.float32(1))
    return np.where(inside == 1, 1 - values, values + inside * (1 - 2 * values))


def margins(sources: Sequence[Source]) -> tuple[Voxels, Voxels]:
    """What is missing before and behind the core, voxels along each axis."""
    shifts = [source.shift for source in sources]
    axes = list(zip(*shifts, strict=True))
    return tuple(max(0, *(-steps for steps in axis)) for axis in axes), tuple(max(0, *axis) for axis in axes)


def turned_inputs(arrays: Arrays, turn: Turn) -> dict[str, NDArray[Any]]:
    """The inputs of a network as it gets them turned; descriptors among them are those of the turned block."""
    found = {}
    for name, values in arrays.items():
        if name == LSDS:
            sources = descriptor_sources(turn)
            channels = np.empty_like(values)
            for channel, source in enumerate(sources):
                channels[source.channel] = mirrored(values[channel], values) if source.mirrored else values[channel]
            values = channels
        found[name] = np.ascontiguousarray(turn.forward(values))
    return found


def brought_back(predicted: NDArray[np.float32], turn: Turn, sources: Sequence[Source], core: Box) -> NDArray[np.float32]:
    """What a network made of a turned block, [c, z, y, x], for the voxels ``core`` of its output, in the volume's axes."""
    back = turn.back(predicted)
    found = np.empty((len(sources), *core.shape), np.float32)
    for channel, source in enumerate(sources):
        there = core.shift(source.shift).slices
        values = back[source.channel][there]
        found[channel] = mirrored(values, back[:, *there]) if source.mirrored else values
    return found


@dataclass(frozen=True)
class Ensemble:
    """A network on a block in all ``turns``. ``sources``: of each head, for each turn.

    ``combine``: the ``mean`` of all turns, or their ``min`` or ``max``.
    """

    turns: tuple[Turn, ...]
    sources: Mapping[str, tuple[tuple[Source, ...], ...]]
    combine: str = "mean"

    @classmethod
    def of(cls, heads: Sequence[Head], several: tuple[Turn, ...], parity: bool = False) -> "Ensemble":
        """See :func:`head_sources`."""
        return cls(several, {head.name: tuple(head_sources(head, turn, parity) for turn in several) for head in heads})

    @property
    def margins(self) -> tuple[Voxels, Voxels]:
        """What the core lacks of the network's output, before and behind."""
        return margins([source for of_head in self.sources.values() for of_turn in of_head for source in of_turn])

    def predict(self, model: Model, arrays: Arrays, core: Box) -> Outputs:
        """What all turns come to, of the voxels ``core`` of the network's output; summed in the order of the turns."""
        return self.predict_all(lambda turned: [model.predict(turned[0])], [arrays], core)[0]

    def predict_all(
        self, predict: Callable[[list[Arrays]], Sequence[Outputs]], several: Sequence[Arrays], core: Box
    ) -> list[Outputs]:
        """As :meth:`predict`, of several blocks at a time, with a function that takes as many."""
        joined = {"mean": np.add, "min": np.minimum, "max": np.maximum}[self.combine]
        found: list[Outputs] = [{} for _ in several]
        for number, turn in enumerate(self.turns):
            predicted = predict([turned_inputs(arrays, turn) for arrays in several])
            for one, made in zip(found, predicted, strict=True):
                for name, sources in self.sources.items():
                    values = brought_back(made[name], turn, sources[number], core)
                    one[name] = joined(one[name], values, out=one[name]) if number else values
        if self.combine == "mean" and len(self.turns) > 1:
            for one in found:
                for values in one.values():
                    values /= np.float32(len(self.turns))
        return found
