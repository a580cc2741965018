"""What all networks and models have, whatever library they are of.

A *network* is a description: names, channels, shapes; it needs no library. There are
:class:`~lsd_experiments.networks.Network`, the U-Nets of the experiments in Keras, and
:class:`~lsd_experiments.networks.TorchNetwork`, a ``torch.nn.Module`` of the user's. A *model* is a network with its weights,
built for one input shape. Shapes are (z, y, x) in voxels; arrays are [z, y, x] or [c, z, y, x], batches have an axis before.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.errors import UserError
from lsd_experiments.networks.shapes import Shape

if TYPE_CHECKING:
    from lsd_experiments.networks.network import Head, Input

Arrays = Mapping[str, NDArray[Any]]
Outputs = dict[str, NDArray[np.float32]]


@runtime_checkable
class NetworkLike(Protocol):
    """A network: see :class:`~lsd_experiments.networks.shapes.LegalShapes` for its shapes.

    ``num_fmaps``: feature maps at full resolution, and ``parameters``: weights and biases, which tell how much memory it takes.
    """

    @property
    def inputs(self) -> "tuple[Input, ...]": ...  # noqa: D102
    @property
    def heads(self) -> "tuple[Head, ...]": ...  # noqa: D102
    @property
    def context(self) -> Shape: ...  # noqa: D102
    @property
    def stride(self) -> Shape: ...  # noqa: D102
    @property
    def smallest_input_shape(self) -> Shape: ...  # noqa: D102
    @property
    def num_fmaps(self) -> int: ...  # noqa: D102
    @property
    def parameters(self) -> int: ...  # noqa: D102

    def output_shape(self, input_shape: Sequence[int]) -> Shape:
        """The output shape for a legal ``input_shape``."""

    def check_input_shape(self, input_shape: Sequence[int]) -> None:
        """:raises UserError: if ``input_shape`` is not legal."""

    def input_shape_for(self, output_shape: Sequence[int]) -> Shape:
        """The smallest legal input shape whose output covers ``output_shape``."""


@runtime_checkable
class Model(Protocol):
    """A network's weights, ready to predict."""

    def predict(self, arrays: Arrays) -> Outputs:
        """One block: from the inputs by name, in the network's range, to the heads by name, [c, z, y, x] in [0, 1].

        Raw is in [-1, 1], LSDs are in [0, 1].

        :raises UserError: if an input is missing, or not of the model's shape
        """

    def load(self, path: str | Path) -> None:
        """Take the weights of a checkpoint.

        :raises UserError: if it is none, or of another network: what differs is named
        """

    def save(self, directory: str | Path, iteration: int, record: Mapping[str, Any]) -> Path:
        """Write the weights as the checkpoint of ``iteration``, whole or not at all; ``record``: what to note with them."""


@runtime_checkable
class Trainable(Protocol):
    """A model in training; arrays are batches, [b, c, z, y, x]."""

    def step(self, inputs: Arrays, targets: Arrays, knowledge: Arrays) -> dict[str, float]:
        """Update the weights; the loss before that, in all and of each head (``loss``, ``<head>_loss``).

        ``knowledge``: of each head, what its loss is told beside the target, such as weights.
        """

    def predict(self, inputs: Arrays) -> Outputs:
        """The heads by name, [b, c, z, y, x] in [0, 1]."""

    def save(self, directory: str | Path, iteration: int, record: Mapping[str, Any]) -> Path:
        """See :meth:`Model.save`; with what is needed to go on."""


def input_array(name: str, channels: int, shape: Sequence[int], arrays: Arrays) -> NDArray[Any]:
    """The input ``name`` of ``arrays`` as [c, z, y, x].

    :raises UserError: if it is missing, or not of ``channels`` and ``shape`` (z, y, x)
    """
    if name not in arrays:
        raise UserError(f"the network takes '{name}'; given: {', '.join(arrays) or 'nothing'}")
    values = arrays[name]
    expected = [tuple(shape), (1, *shape)] if channels == 1 else [(channels, *shape)]
    if values.shape not in expected:
        raise UserError(f"'{name}' has shape {values.shape}; the network takes {' or '.join(map(str, expected))}")
    return values.reshape(channels, *shape)
