"""What ``[components]`` in a configuration of the pipeline may say."""

from typing import Annotated, Literal

from pydantic import Field

from lsd_experiments.fragments.settings import PositiveSize
from lsd_experiments.settings import Settings


class ComponentsSettings(Settings):
    """How the mask becomes objects.

    :param connectivity: voxels that touch by 6 faces, 18 faces and edges, or 26 faces, edges and corners belong together
    :param minimum_size: voxels of the smallest component that is kept
    :param block_size: (z, y, x) in nm that one worker does at a time (default: some chunks of the mask)
    :param parts_dataset: where the parts of each block go, in ``out_file``
    :param out_dataset: where the components go
    """

    connectivity: Literal[6, 18, 26] = 6
    minimum_size: Annotated[int, Field(ge=1)] = 1
    block_size: PositiveSize | None = None
    parts_dataset: str = "volumes/component_parts"
    out_dataset: str = "volumes/components"
