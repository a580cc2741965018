"""A whole volume, each patch once: sums are held of sections to which patches will still add, and only there of all rows.

    layers of patches |-------------|
                              |-------------|     behind a layer's rows its first sections are done, row by row
"""

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
    patches: Patches[Any], predict: Predict, batch: int, progress: Callable[[int], Any] = lambda _: None
) -> Iterator[tuple[Box, Outputs]]:
    """All of what is kept: boxes of sections and, of these, of rows, from the first to the last; each with all heads, float32.

    Of each voxel the sum is over its patches in C order, as in :func:`gather`: both give the same, bit for bit.

    :param predict: gives the cores of several patches, in voxels of the output
    """
    sums = _Sums(patches)
    for top, following in itertools.pairwise([*sorted(set(patches.starts[0])), patches.total[0]]):
        layer = Box((top, 0, 0), (top + 1, *patches.total[1:]))
        numbers = [number for number in patches.touching(layer) if patches.starts[0][number[0]] == top]
        rows = [patches.starts[1][number[1]] for number in numbers]
        sections, waiting, done = (top, following), list(range(len(sums.strips))), 0
        for several, images in _batches(patches, numbers, batch):
            for number, outputs in zip(several, predict(images), strict=True):
                sums.add(number, outputs)
            progress(len(several))
            done += len(several)
            until = min(rows[done:], default=patches.total[1])
            while waiting and sums.strips[waiting[0]][1] <= until:
                yield from sums.take(sections, waiting.pop(0))


def gather(patches: Patches[Any], predict: Predict, asked: Box, batch: int = 1) -> Outputs:
    """All heads in ``asked``, from all patches that touch it."""
    sums: Outputs = {}
    for several, images in _batches(patches, patches.touching(asked), batch):
        for number, outputs in zip(several, predict(images), strict=True):
            _add(sums, outputs, patches, number, asked)
    total = _weights(patches, asked)
    return {name: values / total for name, values in sums.items()}


class _Sums:
    """Sums of what is kept, of each section and strip apart: strips are the rows between two starts of patches."""

    def __init__(self, patches: Patches[Any]) -> None:
        self.patches = patches
        first, last = patches.kept.begin[1], patches.kept.end[1]
        bounds = sorted({first, last, *(start for start in patches.starts[1] if first < start < last)})
        self.strips = list(itertools.pairwise(bounds))
        self.sums: dict[tuple[int, int], Outputs] = {}

    def add(self, number: Voxels, outputs: Outputs) -> None:
        """Add what a patch gives."""
        output = self.patches.output(number)
        for section in range(*self._kept(output.begin[0], output.end[0])):
            for strip, (begin, end) in enumerate(self.strips):
                if begin < output.end[1] and end > output.begin[1]:
                    sums = self.sums.setdefault((section, strip), {})
                    _add(sums, outputs, self.patches, number, self._box(section, section + 1, strip))

    def take(self, sections: tuple[int, int], strip: int) -> Iterator[tuple[Box, Outputs]]:
        """The means of a strip in those of the ``sections`` (from, to) that are kept, whose sums are forgotten."""
        begin, end = self._kept(*sections)
        if begin >= end:
            return
        box = self._box(begin, end, strip)
        total, several = _weights(self.patches, box), [self.sums.pop((section, strip)) for section in range(begin, end)]
        found: Outputs = {}
        for name, values in several[0].items():
            found[name] = np.empty((len(values), *box.shape), np.float32)
            for place, sums in enumerate(several):
                np.divide(sums[name][:, 0], total[place], out=found[name][:, place])
        yield box, found

    def _kept(self, begin: int, end: int) -> tuple[int, int]:
        return max(begin, self.patches.kept.begin[0]), min(end, self.patches.kept.end[0])

    def _box(self, begin: int, end: int, strip: int) -> Box:
        kept, (first, last) = self.patches.kept, self.strips[strip]
        return Box((begin, first, kept.begin[2]), (end, last, kept.end[2]))


def _add(sums: Outputs, outputs: Outputs, patches: Patches[Any], number: Voxels, asked: Box) -> None:
    """Add what a patch gives of ``asked`` to the sums of it."""
    output = patches.output(number)
    part = output.intersect(asked)
    here, there = part.shift([-b for b in asked.begin]), part.shift([-b for b in output.begin])
    weights = patches.weights[there.slices]
    for name, values in outputs.items():
        if name not in sums:
            sums[name] = np.zeros((len(values), *asked.shape), np.float32)
        if not part.empty:
            sums[name][(slice(None), *here.slices)] += weights * values[(slice(None), *there.slices)]


def _weights(patches: Patches[Any], asked: Box) -> NDArray[np.float32]:
    """The sum of the weights of all patches, in C order."""
    total = np.zeros(asked.shape, np.float32)
    for number in patches.touching(asked):
        output = patches.output(number)
        part = output.intersect(asked)
        total[part.shift([-b for b in asked.begin]).slices] += patches.weights[part.shift([-b for b in output.begin]).slices]
    return total


def _batches(
    patches: Patches[Any], numbers: Sequence[Voxels], size: int
) -> Iterator[tuple[list[Voxels], list[NDArray[np.float32]]]]:
    """Patches and their images, ``size`` at a time; those of one depth are read together."""
    for _, layer in itertools.groupby(numbers, key=lambda number: number[0]):
        together = list(layer)
        grays = patches.read(together)
        for begin in range(0, len(together), size):
            several = slice(begin, begin + size)
            yield together[several], [patches.image.in_range(part) for part in grays[several]]
