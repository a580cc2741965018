"""Predict a volume: in this process, or by daisy workers. Both do the same to the same blocks.

Workers and scan leave the number of threads to the backend, since that changes the order of its sums, and so the last bit.
"""

import dataclasses
import math
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays import Volume
from lsd_experiments.blockwise import Block, BlockTask, Workers, run_blockwise
from lsd_experiments.blockwise.marks import run_all
from lsd_experiments.blockwise.stage import (
    find_volume,
    finish_volume,
    missing_blocks,
    open_output,
    prepare_volume,
    records_directory,
    stored_provenance,
    volume_state,
)
from lsd_experiments.blockwise.states import REMEDY, State, check_inputs, check_unchanged, continued, made_again, tie_records
from lsd_experiments.errors import UserError
from lsd_experiments.frameworks import import_gunpowder
from lsd_experiments.geometry import Box
from lsd_experiments.locks import only_run
from lsd_experiments.prediction.plan import Plan, check_raw, make_plan
from lsd_experiments.prediction.settings import PredictionSettings

STAGE = "predict"
FACTORY = "lsd_experiments.prediction.blockwise:make_worker"
THREADS = 3  # blocks in work in one worker: one is read, one is in the network, one is written
BASE_MEMORY = 600 * 2**20  # bytes of a worker before its first block, with TensorFlow
COPIES = 3  # of the first level's feature maps, at most, that are in memory at a time: measured at full width


@dataclasses.dataclass(frozen=True)
class PredictPlan:
    """The outputs of ``plan`` by workers; all heads are made together, since one block writes all of them."""

    plan: Plan
    name: str = STAGE

    @cached_property
    def made(self) -> dict[str, Any]:
        """The provenance of the volumes."""
        return self.plan.provenance()

    @property
    def volumes(self) -> dict[str, Volume]:
        """The volumes as they will be, by head."""
        return {head: output.planned(continued(self.made, stored_provenance(output)))
                for head, output in self.plan.outputs.items()}

    @property
    def bytes(self) -> int:
        """Of all volumes, without compression."""
        return sum(output.bytes for output in self.plan.outputs.values())

    def state(self) -> State:
        """What there is of the volumes."""
        states = [volume_state(output, self.made) for output in self.plan.outputs.values()]
        datasets, kinds = [output.dataset for output in self.plan.outputs.values()], {state.kind for state in states}
        if len(kinds) == 1:
            return next((state for state in states if state.reason), states[0])
        if "stale" in kinds:
            return next(state for state in states if state.kind == "stale")
        missing = [dataset for dataset, state in zip(datasets, states, strict=True) if state.kind == "new"]
        begun = [state.reason for state in states if state.kind == "begun"]
        return State("stale", f"{missing[0]} is not there") if missing else State("begun", next(filter(None, begun), ""))

    def stored(self) -> dict[str, Any]:
        """The provenance of what there is of the first volume."""
        return stored_provenance(next(iter(self.plan.outputs.values())))

    def task(self, workers: Workers) -> BlockTask:
        """What is done to which blocks."""
        plan = self.plan
        return BlockTask(
            name=STAGE,
            total=plan.total,
            write_shape=plan.write_shape,
            context=plan.margin,
            factory=FACTORY,
            settings=dataclasses.asdict(plan.settings),
            records=records_directory(plan.settings.out_file, STAGE),
            workers=workers,
            cpus=None,  # the backend uses all of them
            memory=_memory(plan),
            threads=_threads(plan),
            environment={"XLA_PYTHON_CLIENT_PREALLOCATE": "false"},  # so that workers share a GPU with JAX, too
        )

    def prepare(self, anew: bool, made: dict[str, Any]) -> None:
        """Make ready the volumes; ``anew``: forget what there is. ``made``: the provenance that they get.

        :raises UserError: if raw is not fit for the network
        """
        check_raw(self.plan)
        outputs = self.plan.outputs.values()
        for output in outputs:
            prepare_volume(output, made, anew)
        tie_records(records_directory(self.plan.settings.out_file, STAGE),
                    " ".join(stored_provenance(output)["date"] for output in outputs))

    def missing_blocks(self, done: NDArray[np.int64]) -> dict[str, list[int]]:
        """Those whose chunks are not as they wrote them."""
        return missing_blocks(self.plan.outputs.values(), done)

    def finish(self) -> None:
        """Note that all blocks are done."""
        for output in self.plan.outputs.values():
            finish_volume(output)

    def report(self) -> str:
        """What was made, in words."""
        return f"{self.plan.settings.out_file}: {', '.join(output.dataset for output in self.plan.outputs.values())}"


def predict_blockwise(plan: Plan, workers: Workers, overwrite: bool = False) -> bool:
    """Predict by workers, from where an interrupted run of the same stopped.

    :returns: whether anything was left to predict
    :raises UserError: if raw is not fit for the network, or the outputs are there and were made otherwise
    :raises BlocksFailedError: see :func:`~lsd_experiments.blockwise.run_blockwise`
    """
    stage = PredictPlan(plan)
    if not _prepare(stage, overwrite):
        return False
    task = stage.task(workers)
    run_all(stage, task, lambda: run_blockwise(task))
    _finish(stage)
    return True


def predict_scan(plan: Plan, overwrite: bool = False) -> bool:
    """Predict in this process, block after block; see :func:`predict_blockwise`."""
    from tqdm import tqdm

    stage = PredictPlan(plan)
    if not _prepare(stage, overwrite):
        return False
    with only_run(records_directory(plan.settings.out_file, STAGE)):
        predict = _block_function(plan)
        for box in tqdm(plan.blocks, desc=STAGE, unit="block", dynamic_ncols=True):
            predict(box)
    _finish(stage)
    return True


def _finish(stage: PredictPlan) -> None:
    """:raises UserError: if an input changed meanwhile"""
    check_inputs(STAGE, stage.made, make_plan(stage.plan.settings).provenance())
    stage.finish()


def make_worker(settings: dict[str, Any]) -> Callable[[Block], None]:
    """What works on one block; ``settings``: those of a :class:`Plan`, as JSON values."""
    predict = _block_function(make_plan(PredictionSettings.from_json(settings)))
    return lambda block: predict(block.write)


def _block_function(plan: Plan) -> Callable[[Box], None]:
    """What predicts one of the plan's blocks and writes it."""
    import_gunpowder()
    from lsd_experiments.prediction.pipeline import block_predictor

    predict = block_predictor(plan)
    volumes = {name: open_output(made.container, made.dataset) for name, made in plan.outputs.items()}
    to_output = [-b for b in plan.total.begin]

    def process(box: Box) -> None:
        for name, values in predict(box).items():
            volume, note = volumes[name]
            volume.write(box.shift(to_output), values)
            note(box.shift(to_output))

    return process


def _prepare(stage: PredictPlan, overwrite: bool) -> bool:
    """Check raw and what is there already, and create what is not; whether anything is left to predict.

    :raises UserError: if the outputs were made otherwise: this command has one output by default, which was perhaps not meant
    """
    for output in stage.plan.outputs.values():
        volume = find_volume(output.container, output.dataset)
        if volume is not None and not overwrite:
            check_unchanged(output.name, volume.attrs.get("provenance"), stage.made)
    state = stage.state() if not overwrite else State("stale")
    if state.again:
        raise UserError(f"{stage.plan.settings.out_file}: it is there, and {state.reason}. {REMEDY}")
    if state.kind != "done":
        stage.prepare(state.kind == "stale", made_again(stage.made) if overwrite else stage.made)
    return state.kind != "done"


def _memory(plan: Plan) -> int:
    """Bytes that a worker takes, about."""
    first = [4 * COPIES * one.trained.network.num_fmaps * math.prod(one.input_shape) for one in plan.passes]
    weights = [4 * one.trained.network.parameters for one in plan.passes]
    sums = 0
    if plan.passes[-1].tiling is not None:
        channels = sum(head.predicted_channels for head in plan.trained.network.heads)
        sums = 4 * (channels + 1) * math.prod(plan.write_shape) * _threads(plan)
    return BASE_MEMORY + max(first) + sum(weights) + sums


def _threads(plan: Plan) -> int:
    """Blocks in work at a time. One of many patches keeps the network busy, and is large: two suffice."""
    return THREADS if plan.passes[-1].tiling is None else 2
