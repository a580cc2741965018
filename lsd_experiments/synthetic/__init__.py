"""Synthetic volumes, whose true segmentation is known: neuropil as in EM, and axons as in x-ray tomography.

**Neuropil** (:func:`synthesize`, :func:`write_synthetic`). Neurites of varying calibre fill the space and run through the
sections; dark membranes part them, and mitochondria, vesicles, endoplasmic reticulum, uneven staining, brightness that
differs from section to section, blur and noise make them less than obvious.

- ``raw``: [z, y, x] uint8, 0 dark (membranes) to 255 bright (cytoplasm).
- ``labels``: [z, y, x] uint64, one id per connected neurite, 1 and up, membranes included; 0 (crumbs cut off by
  others or by the border) is unlabelled.

**Axons** (:func:`synthesize_axons`, :func:`write_challenge`). Myelinated axons, and some thin ones without myelin, run through
white matter in fascicles that cross; see ``challenge.py`` for what is written.

- ``raw``: [z, y, x] uint8, dark (myelin) to bright (axoplasm), voxels of 33 nm up-sampled from 99 nm.
- ``labels``: [z, y, x] uint64, one id per connected inside of an axon, 1 and up, without its myelin; 0 is all else.

Shapes are (z, y, x) in voxels, voxel sizes in nm. Equal arguments give equal volumes.
"""

from lsd_experiments.synthetic.axons import AxonVolume, synthesize_axons
from lsd_experiments.synthetic.challenge import evaluation_roi, skeleton_file, write_challenge
from lsd_experiments.synthetic.container import write_synthetic
from lsd_experiments.synthetic.volume import SyntheticVolume, synthesize

__all__ = ["AxonVolume", "SyntheticVolume", "evaluation_roi", "skeleton_file", "synthesize", "synthesize_axons",
           "write_challenge", "write_synthetic"]
