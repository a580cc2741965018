"""A synthetic XPRESS challenge: axons as in x-ray tomography, whose true segmentation is known; see ``challenge.py``.

Myelinated axons, and some thin ones without myelin, run through white matter in fascicles that cross.

- ``raw``: [z, y, x] uint8, dark (myelin) to bright (axoplasm), voxels of 33 nm up-sampled from 99 nm.
- ``labels``: [z, y, x] uint64, one id per connected inside of an axon, 1 and up, without its myelin; 0 is all else.

Shapes are (z, y, x) in voxels, voxel sizes in nm. Equal arguments give equal volumes.
"""

from lsd_experiments.families.xpress.synthetic.axons import AxonVolume, synthesize_axons
from lsd_experiments.families.xpress.synthetic.challenge import evaluation_roi, skeleton_file, write_challenge

__all__ = ["AxonVolume", "evaluation_roi", "skeleton_file", "synthesize_axons", "write_challenge"]
