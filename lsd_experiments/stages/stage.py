"""A stage: what it makes of what, how, and what there is of that."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays import Volume
from lsd_experiments.blockwise import BlockTask, Workers
from lsd_experiments.provenance import provenance
from lsd_experiments.stages.artifact import Artifact
from lsd_experiments.stages.states import State, continued, tie_records
from lsd_experiments.stages.volumes import VolumeArtifact

Show = Callable[[dict[str, Any]], None]  # is told how far a stage is, by the values of ``progress.json``
Whole = Callable[[dict[str, Any], bool, Show], None]


@dataclass(frozen=True)
class Stage:
    """What is done, as it would be done now.

    :param name: of the stage, and of its command
    :param parameters: what its outputs depend on, besides its inputs; JSON values
    :param inputs: what it reads: entries of a provenance, see :func:`~lsd_experiments.provenance.provenance`
    :param outputs: what it makes. The first one is looked at first: if it is not there, the stage is new
    :param work: what workers do to each block; or a function that gets the provenance of the outputs, whether to make all of them
        anew, and what to tell how far it is
    :param facts: what the provenance says besides, for people
    :param check: raises a UserError if the work cannot begin; called before it does
    :param words: what was made, if there is more to say than the outputs do
    """

    name: str
    parameters: Mapping[str, Any]
    inputs: Mapping[str, Any]
    outputs: tuple[Artifact, ...]
    work: BlockTask | Whole
    facts: Mapping[str, Any] = field(default_factory=dict)
    check: Callable[[], None] | None = None
    words: Callable[[], str] | None = None

    @cached_property
    def made(self) -> dict[str, Any]:
        """The provenance of the outputs."""
        return {**provenance(self.name, self.parameters, self.inputs), **self.facts}

    @property
    def bytes(self) -> int:
        """Of the outputs, without compression, as far as known."""
        return sum(output.bytes for output in self.outputs)

    @property
    def volumes(self) -> list[Volume]:
        """The volumes among the outputs as they will be."""
        return [output.planned(continued(self.made, output.stored())) for output in self.outputs
                if isinstance(output, VolumeArtifact)]

    @property
    def current(self) -> dict[str, Any]:
        """The provenance of the outputs as they will be."""
        return continued(self.made, self.stored())

    def stored(self) -> dict[str, Any]:
        """The provenance of what there is of the outputs, empty if nothing is."""
        return self.outputs[0].stored()

    def state(self) -> State:
        """What there is of the outputs.

        :raises UserError: if something else is in the place of one
        """
        states = [output.state(self.made) for output in self.outputs]
        stale = next((state for state in states if state.kind == "stale"), None)
        if stale is not None or states[0].kind == "new":
            return stale or states[0]
        for output, state in zip(self.outputs, states, strict=True):
            if state.kind == "new":
                return State("stale", f"{output.name} is not there")
        left = [state for state in states if state.kind == "begun"] or states
        return next((state for state in left if state.reason), left[0])

    def task(self, workers: Workers) -> BlockTask:
        """What ``workers`` do to which blocks."""
        assert isinstance(self.work, BlockTask), f"{self.name} is done as a whole"
        return dataclasses.replace(self.work, workers=workers)

    def prepare(self, anew: bool, made: dict[str, Any]) -> None:
        """Make ready the outputs; ``anew``: forget what there is. ``made``: the provenance that they get.

        :raises UserError: if the work cannot begin
        """
        if self.check is not None:
            self.check()
        for output in self.outputs:
            output.prepare(made, anew)
        if isinstance(self.work, BlockTask):
            tie_records(self.work.records, " ".join(str(output.stored()["date"]) for output in self.outputs))

    def missing_blocks(self, done: NDArray[np.int64]) -> dict[str, list[int]]:
        """Those of the blocks ``done`` that are not there as they were written: why, which."""
        found: dict[str, set[int]] = {}
        for output in self.outputs:
            for why, blocks in output.missing_blocks(done).items():
                found.setdefault(why, set()).update(blocks)
        return {why: sorted(blocks) for why, blocks in found.items()}

    def finish(self) -> None:
        """Note that all is done: the first output last, since it is looked at first."""
        for output in reversed(self.outputs):
            output.finish()

    def report(self) -> str:
        """What was made, in words."""
        return self.words() if self.words is not None else "\n".join(output.report() for output in self.outputs)
