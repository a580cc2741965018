"""What all artifacts have."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.stages.states import State


class Artifact(Protocol):
    """An output of a stage. ``name``: what messages call it; ``bytes``: that it takes without compression, as far as known."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def bytes(self) -> int: ...  # noqa: D102

    def stored(self) -> dict[str, Any]:
        """The provenance of what there is of it, empty if nothing is, or it does not say."""

    def state(self, made: Mapping[str, Any]) -> State:
        """What there is of it, if it should be of provenance ``made``.

        :raises UserError: if something else is in its place, which is not ours to make anew
        """

    def prepare(self, made: dict[str, Any], anew: bool) -> None:
        """Make ready: from now on it is not finished, and of provenance ``made``; ``anew``: forget what there is."""

    def missing_blocks(self, done: NDArray[np.int64]) -> Mapping[str, Iterable[int]]:
        """Those of the blocks ``done``, which the scheduler calls so, whose output is not there as it was written: why, which."""

    def finish(self) -> None:
        """Note that all is done.

        :raises UserError: if it is not
        """

    def report(self) -> str:
        """What there is of it, in words."""
