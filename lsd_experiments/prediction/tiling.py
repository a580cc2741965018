"""Patches: where the network is applied, and how what it gives is put together.

A patch is what the network gives of one input, ``step`` voxels from the next one, on a lattice without an end. Of a patch the
*window* counts: with ``crop`` a part of the size of the step, so that windows tile; with ``gaussian`` and ``bump`` the whole
core, with weights that fall off from its middle::

    core            |---------------|               crop:  |.....=====.....|            bump:  |..---=====---..|
    the next one         |---------------|                      |.....=====.....|                   |..---=====---..|

Blocks *gather*: each computes all patches whose windows touch it. The sums of a voxel are over its patches in C order, in
float32, whatever the block, so that the result is that of the whole volume at once, bit for bit, for any blocks and workers.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box, Voxels
from lsd_experiments.networks.protocols import Outputs
from lsd_experiments.networks.shapes import Shape, as_shape
from lsd_experiments.prediction.turning import Ensemble

SIGMA = 0.2  # of the Gaussian, in half patches, as PyTorch Connectomics has it
FLOOR = np.float32(1e-4)  # the least weight, so that all voxels have some
ROOM = 2**30  # bytes of a block's sums, at most: larger blocks compute fewer patches twice


@dataclass(frozen=True)
class Tiling:
    """Voxels are those of the grid. ``begin``: where one of the patches begins.

    ``core``: which voxels of a patch are right in all turns. ``window``: which of them count.
    """

    step: Shape
    blend: str
    begin: Voxels
    core: Box
    window: Box
    ensemble: Ensemble

    def patches(self, asked: Box) -> Iterator[Voxels]:
        """Where the patches begin whose windows touch ``asked``, in C order."""
        axes = zip(self.step, self.begin, self.window.begin, self.window.end, asked.begin, asked.end, strict=True)
        return itertools.product(*(_touching(*axis) for axis in axes))

    def hull(self, asked: Box, output_shape: Sequence[int]) -> Box:
        """The patches whose windows touch ``asked``, as one box."""
        begins = list(self.patches(asked))
        return Box(begins[0], Box.of_shape(output_shape, begins[-1]).end)

    def gather(self, asked: Box, predict: Callable[[Voxels], Outputs]) -> Outputs:
        """All heads in ``asked``, [c, z, y, x] float32.

        :param predict: gives the cores of the patch that begins at a voxel
        """
        found: Outputs = {}
        weights = self._weights
        total = np.zeros(asked.shape, np.float32)
        for begin in self.patches(asked):
            window = self.window.shift(begin)
            part = window.intersect(asked)
            here, there = part.shift([-b for b in asked.begin]).slices, part.shift([-b for b in window.begin]).slices
            total[here] += weights[there]
            for name, values in predict(begin).items():
                inside = values[(slice(None), *self.window.shift([-b for b in self.core.begin]).slices)]
                if name not in found:
                    found[name] = np.zeros((len(values), *asked.shape), np.float32)
                found[name][:, *here] += weights[there] * inside[:, *there]
        return {name: np.divide(values, total, out=values) for name, values in found.items()}

    @cached_property
    def _weights(self) -> NDArray[np.float32]:
        return blending(self.blend, self.window.shape)

    def block_shape(self, total: Sequence[int], channels: int) -> Shape:
        """What a block writes of ``total``: a window, or, of windows that overlap, as many steps as there is room for."""
        number = 1
        while self.blend != "crop" and self._bytes(number + 1, total, channels) <= ROOM and any(
                number * s < t for s, t in zip(self.step, total, strict=True)):
            number += 1
        return as_shape([min(number * s, t) for s, t in zip(self.step, total, strict=True)])

    def _bytes(self, number: int, total: Sequence[int], channels: int) -> int:
        return 4 * (channels + 1) * math.prod(min(number * s, t) for s, t in zip(self.step, total, strict=True))


def starts_inside(size: int, patch: int, step: int) -> tuple[int, ...]:
    """Along an axis of ``size`` voxels, where patches begin that are ``step`` apart, the last one moved back to the end.

    :raises UserError: if a patch is larger
    """
    if patch > size:
        raise UserError(f"a patch has {patch} voxels along an axis of {size}: it must not have more than the volume")
    return tuple(min(number * step, size - patch) for number in range(1 + -(-(size - patch) // step)))


def blending(blend: str, shape: Sequence[int]) -> NDArray[np.float32]:
    """The weights of a window of ``shape`` (z, y, x): those of PyTorch Connectomics, or 1 with ``crop``."""
    if blend == "gaussian":
        axes = np.meshgrid(*(np.linspace(-1, 1, size, dtype=np.float32) for size in shape), indexing="ij")
        radius = np.sqrt(sum(axis * axis for axis in axes))
        return (FLOOR + np.exp(-(radius**2) / (2 * SIGMA**2))).astype(np.float32)
    if blend == "bump":
        z, y, x = (_bump(size) for size in shape)
        exponent = (x[None, None] + y[None, :, None]) + z[:, None, None]
        weights: NDArray[np.float32] = np.exp(exponent - exponent.max()) + FLOOR
        return weights
    return np.ones(tuple(shape), np.float32)


def _bump(size: int) -> NDArray[np.float32]:
    inner = np.linspace(0, 1, size + 2, dtype=np.float32)[1:-1]
    return -((inner * (1 - inner)).astype(np.float64) ** -1.5).astype(np.float32)


def make_tiling(
    ensemble: Ensemble, blend: str, step: Shape | None, output_shape: Shape, first: Voxels, stride: Shape | None, world: Voxels
) -> Tiling:
    """The tiling of a network that gives ``output_shape``.

    :param step: default: windows beside each other, or half overlapping where they are blended
    :param first: the first voxel that is predicted; without ``stride`` windows are counted from it
    :param stride: of seamless patches: they begin at multiples of it in the world; voxel 0 is voxel ``world`` of that
    :raises UserError: if the patches are too small, or the step is larger than they are or not a multiple of the stride
    """
    before, behind = ensemble.margins
    core = Box(before, tuple(o - b for o, b in zip(output_shape, behind, strict=True)))
    unit = stride or (1, 1, 1)
    lead = tuple((f + w - b) % u for f, w, b, u in zip(first, world, before, unit, strict=True))
    room = [c - (lead[axis] if blend == "crop" else 0) for axis, c in enumerate(core.shape)]
    if step is None:
        wanted = room if blend == "crop" else [-(-size // 2) for size in room]
        step = as_shape([max(u, size // u * u) for size, u in zip(wanted, unit, strict=True)])
    for axis, (steps, most, u) in enumerate(zip(step, room, unit, strict=True)):
        if steps > most:
            raise UserError(f"patch_step {step}: along {'zyx'[axis]} {most} voxels of a patch are kept: the largest step. "
                            "Take a smaller one, or a larger input_shape")
        if steps % u:
            raise UserError(f"patch_step {step}: of seamless patches it must be a multiple of {unit}, along {'zyx'[axis]}, too")
    middle = [(c - s) // 2 for c, s in zip(core.shape, step, strict=True)]
    if blend == "crop":
        inset = [a + max(0, (m - a) // u) * u for a, m, u in zip(lead, middle, unit, strict=True)]
        window = Box.of_shape(step, [b + i for b, i in zip(before, inset, strict=True)])
        begin = tuple(f - w for f, w in zip(first, window.begin, strict=True))
        return Tiling(step, blend, begin, core, window, ensemble)
    begin = tuple(-w for w in world) if stride else tuple(f - b - m for f, b, m in zip(first, before, middle, strict=True))
    return Tiling(step, blend, begin, core, core, ensemble)


def _touching(step: int, begin: int, window: int, window_end: int, first: int, end: int) -> range:
    """Along one axis, where patches begin whose windows touch the voxels from ``first`` to ``end``."""
    low = (first - begin - window_end) // step + 1
    high = (end - begin - window - 1) // step
    return range(begin + low * step, begin + high * step + 1, step)
