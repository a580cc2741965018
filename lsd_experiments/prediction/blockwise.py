"""Predict a volume: in this process, or by daisy workers. Both do the same to the same blocks.

Workers and scan leave the number of threads to the backend, since that changes the order of its sums, and so the last bit.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays.alignments import carried
from lsd_experiments.blockwise import Block, BlockTask, Workers, run_blockwise
from lsd_experiments.checkpoints.torch_weights import TorchCheckpoint
from lsd_experiments.errors import UserError
from lsd_experiments.frameworks import import_gunpowder
from lsd_experiments.geometry import Box
from lsd_experiments.locks import only_run
from lsd_experiments.prediction.plan import Plan, check_raw, make_plan
from lsd_experiments.prediction.settings import PredictionSettings
from lsd_experiments.stages import Stage
from lsd_experiments.stages.marks import run_all
from lsd_experiments.stages.states import REMEDY, State, check_inputs, check_unchanged, made_again
from lsd_experiments.stages.volumes import find_output, open_output, records_directory
from lsd_experiments.writing import check_writable

STAGE = "predict"
Heads = Mapping[str, NDArray[np.uint8]]  # of a block, [c, z, y, x], by their names
FACTORY = "lsd_experiments.prediction.blockwise:make_worker"
THREADS = 3  # blocks in work in one worker: one is read, one is in the network, one is written
BASE_MEMORY = 600 * 2**20  # bytes of a worker before its first block, with TensorFlow
COPIES = 4  # of the first level's feature maps that are in memory or kept there, at most: measured at full width


def check_work(plan: Plan) -> None:
    """:raises UserError: if raw is not fit for the network, or a module of the user's own does not load"""
    check_raw(plan)
    for one in plan.passes:
        if isinstance(one.trained.checkpoint, TorchCheckpoint):
            one.trained.model(one.input_shape, plan.settings.precision)


def prediction_stage(plan: Plan, check: Callable[[Plan], None] | None = check_work) -> Stage:
    """The outputs of ``plan`` by workers; all heads are made together, since one block writes all of them.

    :param check: what is looked at before there are outputs, unless the caller does
    """
    outputs, made = tuple(plan.outputs.values()), plan.provenance()
    task = BlockTask(
        name=STAGE,
        total=plan.total,
        write_shape=plan.write_shape,
        context=plan.margin,
        factory=FACTORY,
        settings=dataclasses.asdict(plan.settings),
        records=records_directory(plan.settings.out_file, STAGE),
        cpus=None,  # the backend uses all of them
        memory=_memory(plan),
        threads=_threads(plan),
        imports=(__name__,),  # and no framework: what that starts does not outlive a fork
        environment={"XLA_PYTHON_CLIENT_PREALLOCATE": "false"},  # so that workers share a GPU with JAX, too
    )
    return Stage(STAGE, made["parameters"], made["inputs"], outputs, task, carried(*plan.inputs.values()),
                 check and partial(check, plan),
                 words=lambda: f"{plan.settings.out_file}: {', '.join(output.dataset for output in outputs)}")


def predict_blockwise(plan: Plan, workers: Workers, overwrite: bool = False) -> bool:
    """Predict by workers, from where an interrupted run of the same stopped.

    :returns: whether anything was left to predict
    :raises UserError: if raw is not fit for the network, or the outputs are there and were made otherwise
    :raises BlocksFailedError: see :func:`~lsd_experiments.blockwise.run_blockwise`
    """
    stage = prediction_stage(plan)
    left = _left(stage, overwrite)
    if left is None:
        return False
    stage.prepare(*left)
    task = stage.task(workers)
    run_all(stage, task, lambda: run_blockwise(task))
    _finish(stage, plan)
    return True


def predict_scan(plan: Plan, overwrite: bool = False) -> bool:
    """Predict in this process, block after block; see :func:`predict_blockwise`."""
    from tqdm import tqdm

    stage = prediction_stage(plan, check=None)
    left = _left(stage, overwrite)
    if left is None:
        return False
    check_raw(plan)
    check_writable(Path(plan.settings.out_file))
    predict = _predictor(plan)  # before there is an output: a network that does not load leaves none
    stage.prepare(*left)
    with only_run(records_directory(plan.settings.out_file, STAGE)):
        write = _writer(plan)
        for box in tqdm(plan.blocks, desc=STAGE, unit="block", dynamic_ncols=True):
            write(box, predict(box))
    _finish(stage, plan)
    return True


def _finish(stage: Stage, plan: Plan) -> None:
    """:raises UserError: if an input changed meanwhile"""
    check_inputs(STAGE, stage.made, make_plan(plan.settings).provenance())
    stage.finish()


def make_worker(settings: dict[str, Any]) -> Callable[[Block], None]:
    """What works on one block; ``settings``: those of a :class:`Plan`, as JSON values."""
    plan = make_plan(PredictionSettings.from_json(settings))
    predict, write = _predictor(plan), _writer(plan)
    return lambda block: write(block.write, predict(block.write))


def _predictor(plan: Plan) -> Callable[[Box], Heads]:
    """What predicts one of the plan's blocks; its networks are loaded."""
    import_gunpowder()
    from lsd_experiments.prediction.pipeline import block_predictor

    return block_predictor(plan)


def _writer(plan: Plan) -> Callable[[Box, Heads], None]:
    """What writes one of the plan's blocks."""
    volumes = {name: open_output(made.container, made.dataset) for name, made in plan.outputs.items()}
    to_output = [-b for b in plan.total.begin]

    def write(box: Box, predicted: Heads) -> None:
        for name, values in predicted.items():
            volume, note = volumes[name]
            volume.write(box.shift(to_output), values)
            note(box.shift(to_output))

    return write


def _left(stage: Stage, overwrite: bool) -> tuple[bool, dict[str, Any]] | None:
    """How the outputs are to be prepared, see :meth:`Stage.prepare`; None if nothing is left to predict.

    :raises UserError: if the outputs were made otherwise: this command has one output by default, which was perhaps not meant
    """
    for output in stage.volumes:
        volume = find_output(output.container, output.dataset)
        if volume is not None and not overwrite:
            check_unchanged(output.name, volume.attrs.get("provenance"), stage.made)
    state = stage.state() if not overwrite else State("stale")
    if state.again:
        raise UserError(f"{stage.outputs[0].name}: it is there, and {state.reason}. {REMEDY}")
    if state.kind == "done":
        return None
    return state.kind == "stale", made_again(stage.made) if overwrite else stage.made


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
