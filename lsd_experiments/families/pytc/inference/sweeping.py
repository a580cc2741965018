"""A whole volume, each patch once: sums are held of one patch's depth, and are written as soon as no patch adds to them."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.families.pytc.inference.patches import Patches
from lsd_experiments.geometry import Box, Voxels
from lsd_experiments.networks.protocols import Outputs

Predict = Callable[[list[NDArray[np.float32]]], list[Outputs]]


def sweep(
    patches: Patches, predict: Predict, batch: int, progress: Callable[[int], Any] = lambda _: None
) -> Iterator[tuple[Box, Outputs]]:
    """The sections of what is kept, from the first to the last, each with all heads [c, 1, y, x] float32.

    Of each voxel the sum is over its patches in C order, as in :func:`gather`: both give the same, bit for bit.

    :param predict: gives the cores of several patches, in voxels of the output
    """
    sums: Outputs = {}
    total = np.zeros((patches.window[0], *patches.total[1:]), np.float32)
    layers = sorted(set(patches.starts[0]))
    for top, following in itertools.pairwise([*layers, patches.total[0]]):
        layer = Box((top, 0, 0), (top + 1, *patches.total[1:]))
        numbers = [number for number in patches.touching(layer) if patches.starts[0][number[0]] == top]
        for several, images in _batches(patches, numbers, batch):
            for number, outputs in zip(several, predict(images), strict=True):
                _add(sums, total, outputs, patches, patches.output(number).shift((-top, 0, 0)), Box.of_shape(patches.window))
            progress(len(several))
        for section in range(max(top, patches.kept.begin[0]), min(following, patches.kept.end[0])):
            part = Box((section, *patches.kept.begin[1:]), (section + 1, *patches.kept.end[1:]))
            yield part, _mean(sums, total, part.shift((-top, 0, 0)))
        for array in (total[None], *sums.values()):
            _move(array, following - top)


def gather(patches: Patches, predict: Predict, asked: Box, batch: int = 1) -> Outputs:
    """All heads in ``asked``, from all patches that touch it."""
    sums: Outputs = {}
    total = np.zeros(asked.shape, np.float32)
    for several, images in _batches(patches, patches.touching(asked), batch):
        for number, outputs in zip(several, predict(images), strict=True):
            output = patches.output(number)
            part = output.intersect(asked)
            here, there = part.shift([-b for b in asked.begin]), part.shift([-b for b in output.begin])
            _add(sums, total, outputs, patches, here, there)
    return _mean(sums, total, Box.of_shape(asked.shape))


def _add(sums: Outputs, total: NDArray[np.float32], outputs: Outputs, patches: Patches, here: Box, there: Box) -> None:
    """Add the voxels ``there`` of a patch to the sums' ``here``."""
    weights = patches.weights[there.slices]
    total[here.slices] += weights
    for name, values in outputs.items():
        if name not in sums:
            sums[name] = np.zeros((len(values), *total.shape), np.float32)
        sums[name][(slice(None), *here.slices)] += weights * values[(slice(None), *there.slices)]


def _mean(sums: Outputs, total: NDArray[np.float32], box: Box) -> Outputs:
    return {name: values[(slice(None), *box.slices)] / total[box.slices] for name, values in sums.items()}


def _move(array: NDArray[np.float32], rows: int) -> None:
    """Forget the first ``rows`` sections of [c, z, y, x], and begin as many new ones."""
    depth = array.shape[1]
    for row in range(depth):  # one by one, so that there is no copy of all
        array[:, row] = array[:, row + rows] if row + rows < depth else 0


def _batches(
    patches: Patches, numbers: Sequence[Voxels], size: int
) -> Iterator[tuple[list[Voxels], list[NDArray[np.float32]]]]:
    """Patches and their images, ``size`` at a time; those of one depth are read together."""
    for _, layer in itertools.groupby(numbers, key=lambda number: number[0]):
        together = list(layer)
        images = patches.read(together)
        for begin in range(0, len(together), size):
            yield together[begin:begin + size], images[begin:begin + size]
