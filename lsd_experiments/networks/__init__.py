"""The U-Nets of the experiments: what they are, their shapes, their Keras models, and the files that describe them.

A :class:`Network` is a frozen description. Its shapes, parameter counts and costs are arithmetic and need no TensorFlow;
``Network.build`` makes the Keras model. Shapes are (z, y, x) in voxels. A network maps raw in [-1, 1] (and, in the
auto-context variants, LSDs in [0, 1]) to the outputs of its sigmoid heads, in [0, 1].
"""

from lsd_experiments.networks.files import NetworkFile, read, write
from lsd_experiments.networks.network import Head, Input, Network

__all__ = ["Head", "Input", "Network", "NetworkFile", "read", "write"]
