"""Spatial transforms: mirror, transpose and rotate, about the axes that are named.

All are drawn together and make one matrix of nm: of an offset from a sample's centre, as the network sees it, the offset in the
world. So a rotation is one of the tissue, whatever the voxels: nothing is sheared, in patches that are no cubes, or have
anisotropic voxels. An axis of ``rotate`` is the one that stays: for a turn within y and x it is z.

    mirror     {"axes": {"x": 0.5}}             probability
    transpose  {"axes": ["y", "x"]}             these change places at random, among each other only
    rotate     {"axes": {"z": [-180, 180]}}     degrees
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

AXES = "zyx"
Matrix = NDArray[np.float64]


def draw(transforms: Mapping[str, Any], random: np.random.Generator) -> Matrix:
    """[3, 3], z, y, x: what becomes of an offset."""
    matrix = np.eye(3)
    for axis, probability in transforms.get("mirror", {}).get("axes", {}).items():
        if random.random() < probability:
            matrix[AXES.index(axis)] *= -1
    named = [AXES.index(axis) for axis in transforms.get("transpose", {}).get("axes", ())]
    if len(named) > 1:
        order = np.arange(3)
        order[named] = random.permutation(named)
        matrix = matrix[order]
    for axis, (low, high) in transforms.get("rotate", {}).get("axes", {}).items():
        matrix = about(axis, random.uniform(low, high)) @ matrix
    return matrix


def about(axis: str, degrees: float) -> Matrix:
    """The rotation about an axis; quarters of turns are exact."""
    c, s = (round(v, 12) for v in (np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))))
    first, second = (n for n in range(3) if n != AXES.index(axis))
    matrix = np.eye(3)
    matrix[first, first] = matrix[second, second] = c
    matrix[first, second], matrix[second, first] = -s, s
    return matrix


def is_exact(matrix: Matrix) -> bool:
    """Whether axes only change places and directions."""
    return bool(np.isin(matrix, (-1.0, 0.0, 1.0)).all())
