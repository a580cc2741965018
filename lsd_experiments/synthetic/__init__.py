"""Synthetic volumes of neuropil as in EM, whose true segmentation is known (:func:`synthesize`, :func:`write_synthetic`).

Neurites of varying calibre fill the space and run through the
sections; dark membranes part them, and mitochondria, vesicles, endoplasmic reticulum, uneven staining, brightness that
differs from section to section, blur and noise make them less than obvious.

- ``raw``: [z, y, x] uint8, 0 dark (membranes) to 255 bright (cytoplasm).
- ``labels``: [z, y, x] uint64, one id per connected neurite, 1 and up, membranes included; 0 (crumbs cut off by
  others or by the border) is unlabelled.

Shapes are (z, y, x) in voxels, voxel sizes in nm. Equal arguments give equal volumes.
"""

from lsd_experiments.synthetic.container import write_synthetic
from lsd_experiments.synthetic.volume import SyntheticVolume, synthesize

__all__ = ["SyntheticVolume", "synthesize", "write_synthetic"]
