"""What the heads of a network are trained towards: a target declares all that the other modules ask about its head.

Affinities [c, z, y, x]: 1 at voxel v in channel k where v and v + neighborhood[k] carry the same non-zero label. Local shape
descriptors [10, z, y, x] in [0, 1]. Importing this needs neither gunpowder nor Keras.
"""

from lsd_experiments.targets.affinities import DIRECT, Affinities, Offsets
from lsd_experiments.targets.losses import Loss, SquaredError
from lsd_experiments.targets.lsds import LocalShapeDescriptors
from lsd_experiments.targets.target import Target

Kind = type[LocalShapeDescriptors] | type[Affinities]
KNOWN: tuple[Kind, ...] = (LocalShapeDescriptors, Affinities)  # in the order of the heads in a published network

__all__ = ["DIRECT", "KNOWN", "Affinities", "LocalShapeDescriptors", "Loss", "Offsets", "SquaredError", "Target"]
