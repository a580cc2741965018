"""Blocks: numbers and boxes.

A block's number is the position of its write box in the grid of blocks, in C order: 0 at the first voxel, x fastest. It
depends on the total box and the write shape only.
"""

import math
from dataclasses import dataclass

from lsd_experiments.geometry import Box, Voxels


@dataclass(frozen=True)
class Block:
    """One unit of work.

    :param number: position in the grid of blocks, 0 to ``count_blocks() - 1``
    :param read: the voxels to read; may reach outside of the volume
    :param write: the voxels to write; may reach over the end of the volume
    """

    number: int
    read: Box
    write: Box


def grid_shape(total: Box, write_shape: Voxels) -> Voxels:
    """Blocks of ``write_shape`` per axis that cover ``total``."""
    return tuple(math.ceil(size / step) for size, step in zip(total.shape, write_shape, strict=True))


def count_blocks(total: Box, write_shape: Voxels) -> int:
    """How many blocks of ``write_shape`` cover ``total``."""
    return math.prod(grid_shape(total, write_shape))


def block_number(total: Box, write_shape: Voxels, begin: Voxels) -> int:
    """The number of the block whose write box starts at the voxel ``begin``."""
    number = 0
    for first, size, step, voxel in zip(total.begin, grid_shape(total, write_shape), write_shape, begin, strict=True):
        index, rest = divmod(voxel - first, step)
        assert rest == 0, f"no block starts at {begin}"
        assert 0 <= index < size, f"no block starts at {begin}"
        number = number * size + index
    return number


def block_at(total: Box, write_shape: Voxels, context: Voxels, number: int) -> Block:
    """The block of that number, which reads ``context`` more on both sides of each axis."""
    begin = []
    for first, size, step in reversed(list(zip(total.begin, grid_shape(total, write_shape), write_shape, strict=True))):
        number, index = divmod(number, size)
        begin.append(first + index * step)
    assert number == 0, "no such block"
    write = Box.of_shape(write_shape, begin[::-1])
    return Block(block_number(total, write_shape, write.begin), write.grow(context), write)
