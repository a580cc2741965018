"""The resolutions of a volume that is stored at several, each half as fine as the one before along some axes.

Where voxels are anisotropic, the finest axes are halved first, until voxels are about as long as wide::

    (40, 4, 4) nm -> (40, 8, 8) -> (40, 16, 16) -> (40, 32, 32) -> (80, 64, 64) -> ...

Levels share a corner, or lie on one grid (``first``), as precomputed volumes need it, whose levels begin at whole voxels::

    voxels of level 0       5   6   7   8   9        first = 5
    of level 1            2 | 3     | 4     |        lead = 1: of its first voxel, one voxel lies before level 0 begins
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lsd_experiments.geometry import Box, Nanometres, Voxels

CHUNK = 64  # voxels; the last level is no longer along any axis, unless their number is given
ISOTROPIC = math.sqrt(2)  # the longest edge of a voxel over the shortest, up to which it counts as isotropic


@dataclass(frozen=True)
class Level:
    """One of them: (z, y, x), in voxels and nm.

    :param first: the number of its first voxel in the grid that all levels lie on
    :param factors: voxels of the level before in one of its own, 1 or 2
    :param lead: how many of those of its first voxel lie before the level before begins
    """

    shape: Voxels
    voxel_size: Nanometres
    offset: Nanometres
    first: Voxels = (0, 0, 0)
    factors: Voxels = (1, 1, 1)
    lead: Voxels = (0, 0, 0)

    @property
    def box(self) -> Box:
        """All of it."""
        return Box.of_shape(self.shape)

    def below(self, box: Box) -> Box:
        """The voxels of the level before that ``box`` is made of; they may lie outside of it by one."""
        turned = [[f * v - lead for f, v, lead in zip(self.factors, voxels, self.lead, strict=True)]
                  for voxels in (box.begin, box.end)]
        return Box(tuple(turned[0]), tuple(turned[1]))


def plan_levels(shape: Sequence[int], voxel_size: Sequence[float], offset: Sequence[float], first: Sequence[int] = (0, 0, 0),
                most: int | None = None) -> tuple[Level, ...]:
    """The levels of a volume, the finest first.

    :param first: the number of its first voxel in the grid that levels lie on; of zeros, they share a corner
    :param most: how many, as long as there is more than a voxel; None: until one is a chunk
    """
    levels = [Level(tuple(shape), tuple(voxel_size), tuple(offset), tuple(first))]
    while max(levels[-1].shape) > (CHUNK if most is None else 1) and (most is None or len(levels) < most):
        levels.append(_coarser(levels[-1]))
    return tuple(levels)


def _coarser(level: Level) -> Level:
    longest = max(v for v, n in zip(level.voxel_size, level.shape, strict=True) if n > 1)
    finest = [n > 1 and v * ISOTROPIC < longest for v, n in zip(level.voxel_size, level.shape, strict=True)]
    halved = finest if any(finest) else [n > 1 for n in level.shape]
    factors = tuple(2 if h else 1 for h in halved)
    first = tuple(b // f for b, f in zip(level.first, factors, strict=True))
    lead = tuple(b - f * n for b, f, n in zip(level.first, factors, first, strict=True))
    shape = tuple(-(-(n + r) // f) for n, r, f in zip(level.shape, lead, factors, strict=True))
    return Level(shape, tuple(v * f for v, f in zip(level.voxel_size, factors, strict=True)),
                 tuple(o - r * v for o, r, v in zip(level.offset, lead, level.voxel_size, strict=True)), first, factors, lead)
