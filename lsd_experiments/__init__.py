"""The experiments of *Local Shape Descriptors for Neuron Segmentation* (Sheridan et al., Nature Methods 2023).

Modules are named after the stages: ``datasets``, ``networks``, ``descriptors``, ``training``, ``checkpoints``,
``prediction``, ``fragments``, ``agglomeration``, ``segmentation``, ``evaluation``, ``viewing``. Importing this package
imports none of TensorFlow, gunpowder, waterz and neuroglancer: they are imported where they are used.
"""

__version__ = "0.1.0"

from lsd_experiments.installation import check_main

check_main()
