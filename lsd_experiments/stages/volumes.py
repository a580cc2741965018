"""Volumes that a stage writes block by block."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.blockwise.stage import (
    OutputVolume,
    finish_volume,
    missing_blocks,
    prepare_volume,
    stored_provenance,
    volume_state,
)
from lsd_experiments.blockwise.states import State


class VolumeArtifact(OutputVolume):
    """A volume, see :class:`OutputVolume`."""

    def stored(self) -> dict[str, Any]:
        """The provenance of what there is of it."""
        return stored_provenance(self)

    def state(self, made: Mapping[str, Any]) -> State:
        """What there is of it."""
        return volume_state(self, made)

    def prepare(self, made: dict[str, Any], anew: bool) -> None:
        """Create it unless it is there."""
        if prepare_volume(self, made, anew):
            finish_volume(self, False)

    def missing_blocks(self, done: NDArray[np.int64]) -> dict[str, list[int]]:
        """Those of the blocks ``done`` whose chunks are not as they wrote them."""
        return missing_blocks([self], done)

    def finish(self) -> None:
        """Note that all blocks are done."""
        finish_volume(self)

    def report(self) -> str:
        """Where it is."""
        return f"{self.container}: {self.dataset}"
