"""Constrained MALIS: how much each affinity matters to which voxels end up in one object (Turaga et al. 2009; Funke et al. 2019).

affs: [c, z, y, x] float32; channel k of voxel v is the edge from v to v + neighborhood[k]. An edge whose other end lies
outside of the array does not exist. labels: [z, y, x], 0 is background: its voxels connect others, and are in no pair.
mask: [c, z, y, x], 0 where nobody knows whether an edge is cut. docs/methods.md has the definition, and what was decided how.
"""

from lsd_experiments.malis.objects import connected_objects
from lsd_experiments.malis.weights import Weights, edge_weights, malis_weights

__all__ = ["Weights", "connected_objects", "edge_weights", "malis_weights"]
