"""Skeletons: neurons that were traced by hand as nodes and edges, and the segments that a segmentation has under the nodes.

    skeletons = read_skeletons("XPRESS_validation_skels.npz")
    inner = crop(skeletons, offset, shape)            # nm
    segments = segments_at(segmentation, inner)       # [n], one for each node

Positions are (z, y, x) in nm, whatever the order and unit in the file. A skeleton is what edges connect: names and groupings of
neurons in a file are not used.
"""

from lsd_experiments.skeletons.lookup import segments_at, voxels_of
from lsd_experiments.skeletons.reading import read_skeletons
from lsd_experiments.skeletons.skeleton import Skeletons, crop, join
from lsd_experiments.skeletons.writing import write_skeletons

__all__ = ["Skeletons", "crop", "join", "read_skeletons", "segments_at", "voxels_of", "write_skeletons"]
