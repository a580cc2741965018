"""What ``[find_segments]`` and ``[extract]`` in a configuration of the pipeline may say; defaults as published."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from lsd_experiments.fragments.settings import PositiveSize, Unit
from lsd_experiments.settings import Settings


class FindSegmentsSettings(Settings):
    """The thresholds to make look-up tables for.

    :param thresholds_minmax: the first threshold, and the end, which is excluded
    :param thresholds_step: the distance of thresholds
    """

    thresholds_minmax: tuple[Unit, Unit] = (0, 1)
    thresholds_step: Annotated[float, Field(ge=1e-6, le=1)] = 0.02

    @model_validator(mode="after")
    def _ascending(self) -> "FindSegmentsSettings":
        if self.thresholds_minmax[0] >= self.thresholds_minmax[1]:
            raise ValueError("thresholds_minmax must ascend")
        return self


class ExtractSettings(Settings):
    """The segmentation to write.

    :param threshold: one that there is a look-up table for, or ``best``: that of lowest VOI sum in the evaluation
    :param block_size: (z, y, x) in nm, a multiple of the voxel size (default: that of the fragments)
    :param out_dataset: where to write to, in the container of the fragments (default: ``volumes/segmentation_<threshold
        * 100>``)
    """

    threshold: Unit | Literal["best"] = 0.4
    block_size: PositiveSize | None = None
    out_dataset: str | None = None
