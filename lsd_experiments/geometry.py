"""Boxes of voxels, and the one place where nanometres become voxels.

A box is half open, in voxels of one volume's own grid, axes (z, y, x) in three dimensions. World units (nm) appear only as
the ``voxel_size`` and ``offset`` of volumes and in settings, and may be fractional (4.6 nm, 100/3 nm).
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

Voxels = tuple[int, ...]
Nanometres = tuple[float, ...]


@dataclass(frozen=True)
class Box:
    """The voxels v with ``begin <= v < end`` in each axis."""

    begin: Voxels
    end: Voxels

    @classmethod
    def of_shape(cls, shape: Sequence[int], begin: Sequence[int] | None = None) -> "Box":
        """The box of ``shape`` (voxels) that starts at ``begin`` (default: the origin)."""
        start = tuple(begin) if begin is not None else (0,) * len(shape)
        return cls(start, tuple(b + s for b, s in zip(start, shape, strict=True)))

    @property
    def shape(self) -> Voxels:
        """Voxels per axis; never negative."""
        return tuple(max(0, e - b) for b, e in zip(self.begin, self.end, strict=True))

    @property
    def empty(self) -> bool:
        """Whether the box holds no voxel."""
        return 0 in self.shape

    @property
    def slices(self) -> tuple[slice, ...]:
        """The box as an index; ``begin`` must not be negative."""
        assert min(self.begin) >= 0, f"{self} starts before the array"
        return tuple(slice(b, e) for b, e in zip(self.begin, self.end, strict=True))

    def grow(self, margin: Sequence[int]) -> "Box":
        """The box with ``margin`` voxels more on both sides of each axis."""
        return Box(
            tuple(b - m for b, m in zip(self.begin, margin, strict=True)),
            tuple(e + m for e, m in zip(self.end, margin, strict=True)),
        )

    def shift(self, by: Sequence[int]) -> "Box":
        """The box moved ``by`` voxels."""
        return Box(
            tuple(b + v for b, v in zip(self.begin, by, strict=True)),
            tuple(e + v for e, v in zip(self.end, by, strict=True)),
        )

    def intersect(self, other: "Box") -> "Box":
        """The voxels of both boxes."""
        return Box(tuple(map(max, self.begin, other.begin)), tuple(map(min, self.end, other.end)))

    def contains(self, other: "Box") -> bool:
        """Whether all voxels of ``other`` are in this box."""
        return all(a <= b for a, b in zip(self.begin, other.begin, strict=True)) and all(
            a >= b for a, b in zip(self.end, other.end, strict=True)
        )

    def blocks(self, shape: Sequence[int]) -> Iterator["Box"]:
        """The boxes of ``shape`` that tile this one from ``begin``, in C order; the last ones reach over its end."""
        starts = (range(b, e, s) for b, e, s in zip(self.begin, self.end, shape, strict=True))
        for begin in itertools.product(*starts):
            yield Box.of_shape(shape, begin)


def to_voxels(size: Sequence[float], voxel_size: Sequence[float], tolerance: float = 1e-3) -> Voxels | None:
    """``size`` (nm) in whole voxels, or None if it is not on the voxel grid (to ``tolerance`` of a voxel)."""
    exact = [s / v for s, v in zip(size, voxel_size, strict=True)]
    whole = tuple(round(e) for e in exact)
    return whole if all(abs(e - w) <= tolerance for e, w in zip(exact, whole, strict=True)) else None


def to_nm(voxels: Sequence[int], voxel_size: Sequence[float]) -> Nanometres:
    """``voxels`` in nm."""
    return tuple(n * v for n, v in zip(voxels, voxel_size, strict=True))
