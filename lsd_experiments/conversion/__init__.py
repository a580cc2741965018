"""Volumes from one format into another, block by block: every n-th voxel, transposed, or with some labels alone, if so asked.

Arrays are [z, y, x] or [c, z, y, x] of any dtype, which stays. A voxel keeps its place in the world, in nm.
"""

from lsd_experiments.conversion.view import View
from lsd_experiments.conversion.writing import convert, is_converted

__all__ = ["View", "convert", "is_converted"]
