"""Networks: what they are, their shapes, their models, and the files that describe them.

A :class:`Network` is a frozen description. Its shapes, parameter counts and costs are arithmetic and need no TensorFlow;
``Network.build`` makes the Keras model. A :class:`TorchNetwork` describes a PyTorch module in the same words. Shapes are
(z, y, x) in voxels. A network maps raw in [-1, 1] (and, in the auto-context variants, LSDs in [0, 1]) to the outputs of its
heads, in [0, 1].
"""

from lsd_experiments.networks.files import NetworkFile, read, write
from lsd_experiments.networks.network import Head, Input, Network
from lsd_experiments.networks.torch_network import TorchNetwork

__all__ = ["Head", "Input", "Network", "NetworkFile", "TorchNetwork", "read", "write"]
