"""What ``[threshold]`` in a configuration of the pipeline may say."""

from typing import Annotated

from pydantic import Field, model_validator

from lsd_experiments.fragments.settings import PositiveSize, Unit
from lsd_experiments.settings import Settings

Channel = Annotated[int, Field(ge=0)]


class ThresholdSettings(Settings):
    """Which probabilities become masks.

    :param dataset: the probabilities: ``volumes/<head>`` of what predict makes
    :param file: their container (default: the pipeline's ``out_file``)
    :param classes: names of the channels that are taken, in their order (default: ``0``, ``1``, ...)
    :param channels: the channels that are taken (default: all)
    :param threshold: one for all classes, or one for each: a voxel is of a class if its probability is above it
    :param close_sections: gaps of so many sections along z, between voxels of a class, become of the class, too (default: none)
    :param block_size: (z, y, x) in nm that one worker writes at a time (default: some chunks of the probabilities)
    :param out_dataset: where the masks go, in ``out_file``
    """

    dataset: str
    file: str | None = None
    classes: tuple[Annotated[str, Field(min_length=1)], ...] | None = None
    channels: Annotated[tuple[Channel, ...], Field(min_length=1)] | None = None
    threshold: Unit | tuple[Unit, ...] = 0.5
    close_sections: Annotated[int, Field(ge=0)] = 0
    block_size: PositiveSize | None = None
    out_dataset: str = "volumes/masks"

    @model_validator(mode="after")
    def _fits(self) -> "ThresholdSettings":
        if self.classes is not None and len({*self.classes}) < len(self.classes):
            raise ValueError("two classes have one name")
        return self
