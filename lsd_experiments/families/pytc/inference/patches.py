"""The patches of a volume: where they begin in the image, and where what is made of them lies in the output.

With ``INFERENCE.OUTPUT_SCALE`` each patch is resized before it is blended, so that the output's voxels are others. Where turned
affinities lack voxels at a patch's ends (see :mod:`lsd_experiments.prediction.turning`), the image is padded by as many more.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.errors import UserError
from lsd_experiments.families.pytc.configuration import Config
from lsd_experiments.families.pytc.inference.images import UNIT, Image
from lsd_experiments.geometry import Box, Nanometres, Voxels
from lsd_experiments.networks.protocols import Outputs
from lsd_experiments.prediction.tiling import blending, starts_inside
from lsd_experiments.prediction.turning import Ensemble


class Source(Protocol):
    """What patches are read of."""

    def grays(self, box: Box, /) -> NDArray[Any]:
        """``box`` as it is kept until its turn, in as few bytes as there are."""

    def in_range(self, grays: NDArray[Any], /) -> NDArray[Any]:
        """The same as the network gets it."""


Read = TypeVar("Read", bound=Source, covariant=True)


@dataclass(frozen=True)
class Patches(Generic[Read]):
    """Patches are counted along each axis; ``origins``: where each begins in ``image``; ``starts``: where its output begins.

    ``core``: which voxels of a patch are right in all turns; ``window``: what they become in the output, which has ``total``
    voxels (z, y, x), of which those in ``kept`` are written.
    """

    image: Read
    patch: Voxels
    core: Box
    scale: tuple[float, ...]
    blending: str
    origins: tuple[tuple[int, ...], ...]
    starts: tuple[tuple[int, ...], ...]
    window: Voxels
    total: Voxels
    kept: Box

    def touching(self, asked: Box) -> list[Voxels]:
        """The patches whose outputs touch ``asked``, in C order."""
        axes = [[number for number, start in enumerate(starts) if start < end and start + size > begin]
                for starts, size, begin, end in zip(self.starts, self.window, asked.begin, asked.end, strict=True)]
        return list(itertools.product(*axes))

    def output(self, number: Voxels) -> Box:
        """What a patch gives."""
        return Box.of_shape(self.window, [starts[one] for starts, one in zip(self.starts, number, strict=True)])

    def read(self, numbers: Sequence[Voxels]) -> list[NDArray[Any]]:
        """The gray values of patches, read as one box: sections that are stored compressed are decoded once."""
        boxes = [Box.of_shape(self.patch, [at[one] for at, one in zip(self.origins, number, strict=True)]) for number in numbers]
        first = tuple(min(box.begin[axis] for box in boxes) for axis in range(3))
        values = self.image.grays(Box(first, tuple(max(box.end[axis] for box in boxes) for axis in range(3))))
        return [values[box.shift([-b for b in first]).slices] for box in boxes]

    def resized(self, outputs: Outputs) -> Outputs:
        """The cores of all heads, in voxels of the output."""
        if self.scale == UNIT:
            return outputs
        return {name: np.stack([resize(values, self.window) for values in head]) for name, head in outputs.items()}

    @cached_property
    def weights(self) -> NDArray[np.float32]:
        """Of the voxels of a window."""
        return blending(self.blending, self.window)


def make_patches(config: Config, image: Image, ensemble: Ensemble) -> Patches[Image]:
    """The patches of ``image`` that a configuration for inference asks for.

    :raises UserError: if they are larger than the image, or leave voxels out
    """
    patch: Voxels = tuple(config.MODEL.INPUT_SIZE)
    if list(patch) != config.MODEL.OUTPUT_SIZE:
        raise config.wrong("MODEL.OUTPUT_SIZE", f"is {config.MODEL.OUTPUT_SIZE}, but networks give the size they get, "
                           f"{list(patch)}")
    step, scale = config.INFERENCE.STRIDE, tuple(float(by) for by in config.INFERENCE.OUTPUT_SCALE)
    before, behind = ensemble.margins
    image = replace(image, pads=tuple((a + b, c + d) for (a, c), b, d in zip(image.pads, before, behind, strict=True)))
    core = Box(before, tuple(size - b for size, b in zip(patch, behind, strict=True)))
    for axis, (one, most) in enumerate(zip(step, core.shape, strict=True)):
        if one > most:
            raise config.wrong("INFERENCE.STRIDE", f"is {step}, but along {'zyx'[axis]} {most} voxels of a patch count: voxels "
                               "would be left out. Take a smaller one, or a larger INPUT_SIZE")
    origins = tuple(_origins(config, image, axis, patch[axis], step[axis]) for axis in range(3))
    window: Voxels = tuple(math.ceil(size * by) for size, by in zip(core.shape, scale, strict=True))
    ends = [math.ceil((size - b) * by) for size, b, by in zip(image.shape, behind, scale, strict=True)]
    starts = tuple((*(math.floor((origin + b) * by) for origin in axis[:-1]), end - size)  # the last one to the end, if rounded
                   for axis, b, by, end, size in zip(origins, before, scale, ends, window, strict=True))
    total = tuple(math.ceil(size * by) for size, by in zip(image.shape, scale, strict=True))
    kept = _kept(config, image, total, scale, (before, behind))
    return Patches(image, patch, core, scale, config.INFERENCE.BLENDING, origins, starts, window, total, kept)


def voxel_size(patches: Patches[Image]) -> Nanometres:
    """Of the output, nm."""
    image = patches.image
    return tuple(size / by / out for size, by, out in zip(image.volume.voxel_size, image.scale, patches.scale, strict=True))


def offset(patches: Patches[Image]) -> Nanometres:
    """Where what is kept begins, nm; the image begins behind its padding."""
    image = patches.image
    padded = [math.floor(before * by) for (before, _), by in zip(image.pads, patches.scale, strict=True)]
    return tuple(at - (first - begin) * size for at, first, begin, size in zip(
        image.volume.offset, padded, patches.kept.begin, voxel_size(patches), strict=True))


def resize(values: NDArray[np.float32], shape: Sequence[int]) -> NDArray[np.float32]:
    """``values`` [z, y, x] linearly interpolated to ``shape``, smoothed before where they become fewer, as scikit-image does."""
    from scipy.ndimage import gaussian_filter, zoom

    factors = np.divide(values.shape, shape)
    smooth: NDArray[Any] = gaussian_filter(values, np.maximum(0, (factors - 1) / 2), mode="mirror")
    found = zoom(smooth, 1 / factors, order=1, mode="mirror", grid_mode=True)
    clipped: NDArray[np.float32] = np.clip(found, values.min(), values.max()).astype(np.float32)
    return clipped


def _origins(config: Config, image: Image, axis: int, patch: int, step: int) -> tuple[int, ...]:
    try:
        return starts_inside(image.shape[axis], patch, step)
    except UserError as error:
        raise UserError(f"{image.volume.name}: has {image.inner_shape} voxels, with padding {image.shape}, fewer than a patch, "
                        f"{config.MODEL.INPUT_SIZE}. Take a smaller INFERENCE.INPUT_SIZE, or a larger PAD_SIZE") from error


def _kept(config: Config, image: Image, total: Voxels, scale: Sequence[float], margins: tuple[Voxels, Voxels]) -> Box:
    """Without what was padded, or (UNPAD False) without what the turns needed more."""
    sides = image.pads if config.INFERENCE.UNPAD else tuple(zip(*margins, strict=True))
    begin = [math.floor(first * by) for (first, _), by in zip(sides, scale, strict=True)]
    end = [size - math.floor(last * by) for size, (_, last), by in zip(total, sides, scale, strict=True)]
    return Box(tuple(begin), tuple(end))
