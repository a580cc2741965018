"""The arithmetic of legal input shapes: those for which a network's output is smaller than its input by a constant context."""

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from lsd_experiments.errors import UserError

Shape = tuple[int, int, int]


class LegalShapes:
    """What follows from a network's ``context``, ``stride`` and ``smallest_input_shape``: (z, y, x) in voxels, all of them.

    ``context``: what the output is smaller by, both sides together. ``stride``: between legal sizes; where blocks are to be
    seamless, what the input must move by for the output to move alike.
    """

    if TYPE_CHECKING:  # at run time dataclasses would take them for the defaults of their fields

        @property
        def context(self) -> Shape: ...  # noqa: D102
        @property
        def stride(self) -> Shape: ...  # noqa: D102
        @property
        def smallest_input_shape(self) -> Shape: ...  # noqa: D102

    def output_shape(self, input_shape: Sequence[int]) -> Shape:
        """The output shape for a legal ``input_shape``, both (z, y, x) in voxels.

        :raises UserError: if ``input_shape`` is not legal; the nearest legal sizes are named.
        """
        self.check_input_shape(input_shape)
        return as_shape(size - lost for size, lost in zip(input_shape, self.context, strict=True))

    def check_input_shape(self, input_shape: Sequence[int]) -> None:
        """Raise a :class:`UserError` that names the nearest legal sizes if ``input_shape`` is not legal."""
        if len(input_shape) != 3:
            raise UserError(f"input shape {tuple(input_shape)}: has {len(input_shape)} axes, not the 3 of (z, y, x)")
        wrong = [
            f"{'zyx'[axis]} = {size} (nearest: {' or '.join(map(str, self._nearest(size, axis)))})"
            for axis, size in enumerate(input_shape)
            if size not in self._nearest(size, axis)
        ]
        if wrong:
            nearest = as_shape(_closest(size, self._nearest(size, axis)) for axis, size in enumerate(input_shape))
            raise UserError(
                f"input shape {tuple(input_shape)} is not legal for this network: {', '.join(wrong)}. "
                f"The nearest legal shape is {nearest}"
            )

    def input_shape_for(self, output_shape: Sequence[int]) -> Shape:
        """The smallest legal input shape whose output covers ``output_shape``."""
        return as_shape(
            max(first, first + math.ceil((wanted + lost - first) / step) * step)
            for first, step, lost, wanted in zip(
                self.smallest_input_shape, self.stride, self.context, output_shape, strict=True
            )
        )

    def _nearest(self, size: int, axis: int) -> list[int]:
        """The legal sizes around ``size``, or just ``size`` if it is legal."""
        smallest, step = self.smallest_input_shape[axis], self.stride[axis]
        if size < smallest:
            return [smallest]
        below = size - (size - smallest) % step
        return [below] if below == size else [below, below + step]


def _closest(size: int, sizes: list[int]) -> int:
    return min(sizes, key=lambda legal: abs(legal - size))


def as_shape(values: Iterable[int]) -> Shape:
    """``values``, three of them, as a shape."""
    z, y, x = values
    return (z, y, x)
