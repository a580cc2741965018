"""Small submissions and truths, with anisotropic voxels that begin away from the origin."""

import numpy as np

from lsd_experiments.families.cellmap.manifest import Target
from lsd_experiments.families.cellmap.packing import put_array, put_group

VOXEL, BEGIN = (4.0, 8.0, 6.0), (84.0, 44.0, 21.0)  # nm; z is on the voxels' grid, y and x are not


def target(label, shape=(12, 14, 16), crop="crop7", begin=BEGIN, voxel=VOXEL):
    return Target(crop, "made", label, voxel, begin, tuple(shape))


def put(root, **classes):
    """A submission ``root`` of one crop: its classes by name, each an array, or an array and its target."""
    put_group(root)
    for label, given in classes.items():
        values, place = given if isinstance(given, tuple) else (given, target(label, given.shape))
        put_group(root / place.crop)
        put_array(root / place.crop / label, np.asarray(values), place)
    return root


def boxes(shape=(12, 14, 16)):
    """Three boxes of ids 1, 2 and 5."""
    values = np.zeros(shape, np.uint16)
    values[1:4, 1:5, 1:6] = 1
    values[6:11, 2:6, 8:14] = 2
    values[2:5, 8:13, 9:15] = 5
    return values
