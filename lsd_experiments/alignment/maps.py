"""Where the pixels of a section go. Coordinates are (y, x) in pixels, of pixel centres; a matrix [2, 3] maps p to A p + b.

A crack runs along one axis ("along"), and opened the tissue along the other one ("across"):

      tissue                      tissue
    ----------.                 -----------   closed: each side moves by half the width towards the centre line, and less
       gap     `----   width w  -----------   so the farther away it is: nothing at ``reach`` pixels and more
    ----------.                   tissue
      tissue   `----
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]  # [2, ...] y and x
Matrix = NDArray[np.float64]  # [2, 3]
IDENTITY: Matrix = np.eye(2, 3)


@dataclass(frozen=True)
class Crack:
    """See the module.

    :param axis: along which it runs: 0 is y, 1 is x
    :param begin: its first pixel along that axis
    :param centres: [n] where its middle is, across, for each pixel along
    :param widths: [n] pixels between its two sides; where it ends inside of the section, they go to 0
    :param reach: pixels from the crack at which tissue is not displaced any more; inf: two halves that moved apart
    """

    axis: int
    begin: int
    centres: tuple[float, ...]
    widths: tuple[float, ...]
    reach: float = np.inf

    def close(self, points: Points) -> tuple[Points, NDArray[np.bool_]]:
        """Where ``points`` of the section are once it is closed, and which of them lie in the gap."""
        across, half, place = self._around(points)
        beyond = np.abs(across) - half
        moved = half * np.clip(1 - beyond / self.reach, 0, 1)
        in_gap = (beyond <= 0) & (half > 0)
        return self._across(points, place + np.where(in_gap, 0, across - np.sign(across) * moved)), in_gap

    def open(self, points: Points) -> Points:
        """The points of the section that :meth:`close` takes to ``points``."""
        across, half, place = self._around(points)
        distance = np.abs(across)
        within = distance < self.reach + half
        beyond = np.where(within, distance / (1 + half / self.reach), distance)
        moved = np.where(within, half, 0)
        return self._across(points, place + np.where(across < 0, -1.0, 1.0) * (beyond + moved))

    def _around(self, points: Points) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """How far across ``points`` are from the middle, half the width there, and where the middle is."""
        along = points[self.axis] - self.begin
        places = np.arange(len(self.centres), dtype=np.float64)
        half = np.interp(along, places, np.asarray(self.widths) / 2)
        half = np.where((along < 0) | (along > len(self.centres) - 1), 0, half)
        middle = np.interp(along, places, np.asarray(self.centres))
        return points[1 - self.axis] - middle, half, middle

    def _across(self, points: Points, values: NDArray[np.float64]) -> Points:
        moved = np.array(points, np.float64)
        moved[1 - self.axis] = values
        return moved


@dataclass(frozen=True)
class SectionMap:
    """From the pixels of a section to aligned ones: cracks are closed, then ``matrix`` is applied."""

    matrix: Matrix = field(default_factory=lambda: IDENTITY)
    cracks: tuple[Crack, ...] = ()

    @property
    def is_identity(self) -> bool:
        """Whether every pixel stays where it is."""
        return not self.cracks and bool(np.array_equal(self.matrix, IDENTITY))

    def to_aligned(self, points: Points) -> tuple[Points, NDArray[np.bool_]]:
        """Where ``points`` of the section are in the aligned one, and which of them lie in a crack."""
        in_gap = np.zeros(points.shape[1:], np.bool_)
        for crack in self.cracks:
            points, own = crack.close(points)
            in_gap |= own
        return apply(self.matrix, points), in_gap

    def to_section(self, points: Points) -> Points:
        """The points of the section that are at ``points`` of the aligned one."""
        points = apply(inverse(self.matrix), points)
        for crack in reversed(self.cracks):
            points = crack.open(points)
        return points

    def moved(self, by: Sequence[float] | NDArray[Any]) -> "SectionMap":
        """The same, with aligned pixels ``by`` (y, x) farther on."""
        return SectionMap(compose(translation(by), self.matrix), self.cracks)


def apply(matrix: Matrix, points: Points) -> Points:
    """``points`` [2, ...] mapped by ``matrix``; an identity gives them to the bit."""
    if np.array_equal(matrix, IDENTITY):
        return points
    y, x = points
    return np.stack([matrix[0, 0] * y + matrix[0, 1] * x + matrix[0, 2], matrix[1, 0] * y + matrix[1, 1] * x + matrix[1, 2]])


def compose(after: Matrix, before: Matrix) -> Matrix:
    """The matrix of ``before``, and then ``after``."""
    return np.concatenate([after[:, :2] @ before[:, :2], after[:, :2] @ before[:, 2:] + after[:, 2:]], axis=1)


def inverse(matrix: Matrix) -> Matrix:
    """The matrix that undoes ``matrix``."""
    linear = np.linalg.inv(matrix[:, :2])
    return np.concatenate([linear, -linear @ matrix[:, 2:]], axis=1)


def translation(by: Sequence[float] | NDArray[Any]) -> Matrix:
    """The matrix that adds ``by`` (y, x)."""
    return np.array([[1.0, 0.0, by[0]], [0.0, 1.0, by[1]]])


def rotation(degrees: float, centre: Sequence[float] | NDArray[Any], shift: Sequence[float] | NDArray[Any] = (0, 0)) -> Matrix:
    """Turn by ``degrees`` (from y to x) around ``centre``, then ``shift``."""
    angle = np.deg2rad(degrees)
    linear = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = np.asarray(centre, np.float64)
    return np.concatenate([linear, (middle - linear @ middle + np.asarray(shift))[:, None]], axis=1)


def angle(matrix: Matrix) -> float:
    """By how many degrees ``matrix`` turns, from y to x, whatever else it does."""
    return float(np.rad2deg(np.arctan2(matrix[1, 0] - matrix[0, 1], matrix[0, 0] + matrix[1, 1])))
