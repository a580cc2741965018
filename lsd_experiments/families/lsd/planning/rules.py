"""The numbers of an experiment, each by one rule; docs/planning.md says them in words, tests/planning/test_rules.py which
published values they give. Axes are (z, y, x).

A network's voxels grow as it pools. *Coarse* is an axis along which voxels are more than 1.5 times as long as along the finest:
sections.
"""

import math
from collections.abc import Sequence

from lsd_experiments.datasets.new_files import BLOCKS, MERGE, SECTIONS
from lsd_experiments.networks.network import Shape
from lsd_experiments.networks.shapes import as_shape
from lsd_experiments.targets import DIRECT, Offsets

OF_WIDTH = 2 / 5  # of an object's width: sigma
SIGMA_STEP = 10  # nm
SIGMA_VOXELS = 2  # at least, along each axis
CONTROL_POINTS = 320  # nm between them
CONTROL_SECTIONS = 4  # between them, along a coarse axis
CONTEXT = 240  # nm at least, of fragments and their edges
NEAREST_FAR = 3  # voxels


def coarse(voxel_size: Sequence[float]) -> tuple[bool, bool, bool]:
    """Which axes are coarse."""
    z, y, x = (size > SECTIONS * min(voxel_size) for size in voxel_size)
    return z, y, x


def are_sections(voxel_size: Sequence[float]) -> bool:
    """Whether voxels are of sections: coarse in z, and in z alone."""
    return coarse(voxel_size) == (True, False, False)


def sigma(width: float, voxel_size: Sequence[float]) -> int:
    """Of the descriptors' window, nm: two fifths of the objects' width, but two voxels along each axis."""
    return SIGMA_STEP * max(1, round(OF_WIDTH * width / SIGMA_STEP), math.ceil(SIGMA_VOXELS * max(voxel_size) / SIGMA_STEP))


def pooling(voxel_size: Sequence[float], factors: Sequence[int]) -> tuple[Shape, ...]:
    """A pooling by each of ``factors``: along fine axes always, along a coarse one where it stays no longer than fine ones were.

    So sections are pooled along z when y and x have been pooled so often that voxels are cubes, or nearly.
    """
    is_coarse, pooled, found = coarse(voxel_size), [1, 1, 1], []
    for factor in factors:
        fine = min(size * by for size, by, rough in zip(voxel_size, pooled, is_coarse, strict=True) if not rough)
        step = [1 if rough and size * by * factor > fine else factor
                for size, by, rough in zip(voxel_size, pooled, is_coarse, strict=True)]
        pooled = [by * more for by, more in zip(pooled, step, strict=True)]
        found.append(as_shape(step))
    return tuple(found)


def deep_factors(voxel_size: Sequence[float]) -> tuple[int, ...]:
    """Of three poolings: by 3 for sections, by 2, 2 and 3 for cubic voxels, as published."""
    return (3, 3, 3) if any(coarse(voxel_size)) else (2, 2, 3)


def growth(voxel_size: Sequence[float]) -> int:
    """By which feature maps grow per level of the largest network, as published."""
    return 5 if any(coarse(voxel_size)) else 6


def control_points(voxel_size: Sequence[float]) -> Shape:
    """Voxels between control points of the elastic deformation: about 320 nm; 4 sections."""
    return as_shape(CONTROL_SECTIONS if rough else max(1, round(CONTROL_POINTS / size))
                    for size, rough in zip(voxel_size, coarse(voxel_size), strict=True))


def jitter(voxel_size: Sequence[float]) -> Shape:
    """Voxels by which control points are displaced: 2, and none along a coarse axis."""
    return as_shape(0 if rough else 2 for rough in coarse(voxel_size))


def exchanged(voxel_size: Sequence[float]) -> tuple[int, ...]:
    """The axes along which voxels are alike, so that samples may exchange them; none, if there are no two."""
    groups = [[b for b in range(3) if abs(voxel_size[a] - voxel_size[b]) <= 1e-3 * voxel_size[a]] for a in range(3)]
    largest = max(groups, key=len)
    return tuple(largest) if len(largest) > 1 else ()


def boundary_axes(voxel_size: Sequence[float]) -> tuple[int, ...]:
    """The axes along which a voxel is taken off each object: all but coarse ones."""
    return tuple(axis for axis, rough in enumerate(coarse(voxel_size)) if not rough)


def far_offsets(voxel_size: Sequence[float], poolings: Sequence[Shape]) -> Offsets:
    """Direct neighbours, and one more along each axis for each pooling.

    As far as a voxel of the level below is long, the next odd number; along a coarse axis as far in nm. At least 3, and each 2
    farther than the one before.
    """
    fine = next(axis for axis, rough in enumerate(coarse(voxel_size)) if not rough)
    stride, last = 1, [NEAREST_FAR - 2] * 3
    offsets: list[Shape] = [as_shape(offset) for offset in DIRECT]
    for factors in poolings:
        stride *= factors[fine]
        for axis, size in enumerate(voxel_size):
            exact = stride * voxel_size[fine] / size
            last[axis] = max(_odd(exact), last[axis] + 2)
            offsets.append(as_shape(-last[axis] if axis == other else 0 for other in range(3)))
    return tuple(offsets)


def _odd(exact: float) -> int:
    """The nearest odd number, the next one if two are."""
    return 2 * math.floor(exact / 2 + 1e-9) + 1


def context(width: float, voxel_size: Sequence[float]) -> Shape:
    """Voxels that fragments and their edges read more on each side: as long as an object is wide, at least 240 nm."""
    return as_shape(math.ceil(max(CONTEXT, width) / size - 1e-6) for size in voxel_size)


def block(voxel_size: Sequence[float], extent: Sequence[int]) -> Shape:
    """Voxels that a worker segments at a time, as published, and no more than there are."""
    return as_shape(map(min, BLOCKS[are_sections(voxel_size)][0], extent))


def merge_function(voxel_size: Sequence[float]) -> str:
    """How edges are scored, as published."""
    return MERGE[are_sections(voxel_size)]
