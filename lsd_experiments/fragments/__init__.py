"""Fragments (supervoxels) from affinities: small pieces of neurites, that agglomeration puts together.

Affinities are ``[c, z, y, x]``, uint8 0 to 255 or float in [0, 1]; 1 says that a voxel and its neighbour belong
together. The first three channels are those of the direct neighbours, (-1, 0, 0), (0, -1, 0), (0, 0, -1). Fragments are
``[z, y, x]`` uint64; 0 is no fragment.
"""

from lsd_experiments.fragments.extraction import extract_fragments
from lsd_experiments.fragments.watershed import boundary_distance, watershed_fragments

__all__ = ["boundary_distance", "extract_fragments", "watershed_fragments"]
