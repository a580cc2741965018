"""What ``processing`` in a configuration may say of a class."""

from typing import Annotated, Literal

from pydantic import Field

from lsd_experiments.families.cellmap.classes import INSTANCES
from lsd_experiments.fragments.settings import Unit
from lsd_experiments.geometry import Voxels
from lsd_experiments.settings import Settings

Method = Literal["threshold", "components", "watershed", "affinities"]
Count = Annotated[int, Field(ge=1)]
Margin = Annotated[int, Field(ge=0)]


class ClassSettings(Settings):
    """How the prediction of a class becomes what is submitted.

    :param method: ``threshold``: a mask; ``components``: the connected components of the mask; ``watershed``: objects are cut
        where the prediction is weak between them; ``affinities``: the prediction is of affinities to the neighbours along
        z, y, x (default: components of classes of instances, or affinities if there are three channels; threshold of others)
    :param threshold: a voxel is of the class if its probability is above it
    :param minimum_size: voxels of the smallest object that is kept
    :param connectivity: voxels that touch by 6 faces, 18 faces and edges, or 26 faces, edges and corners belong together
    :param merge_threshold: of watershed and affinities: fragments whose score, 1 - affinity, is below it are united
    :param merge_function: that scores them
    :param min_seed_distance: of watershed and affinities: seeds are the farthest from the border in a box of so many voxels
    :param halo: voxels, one number or z, y, x, that a block reads more on each side
    :param block_shape: voxels that a block writes
    :param values: ``logits`` or ``probabilities`` (default: what the prediction says; if it does not, floats are logits)
    """

    method: Method | None = None
    threshold: Unit = 0.5
    minimum_size: Count = 1
    connectivity: Literal[6, 18, 26] = 6
    merge_threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    merge_function: str = "mean"
    min_seed_distance: Count = 10
    halo: Margin | tuple[Margin, Margin, Margin] = 32
    block_shape: Count | tuple[Count, Count, Count] = 128
    values: Literal["logits", "probabilities"] | None = None

    def method_of(self, label: str, channels: int | None) -> Method:
        """What is done to the class ``label`` of so many channels."""
        if self.method is not None:
            return self.method
        if label not in INSTANCES:
            return "threshold"
        return "affinities" if (channels or 1) >= 3 else "components"

    def in_blocks(self, shape: Voxels) -> Voxels:
        """The voxels of a block of a volume of ``shape``."""
        return tuple(min(one, n) for one, n in zip(_three(self.block_shape), shape, strict=True))

    @property
    def context(self) -> Voxels:
        """The halo along z, y, x."""
        return _three(self.halo)


def _three(value: int | tuple[int, int, int]) -> Voxels:
    return (value,) * 3 if isinstance(value, int) else value
