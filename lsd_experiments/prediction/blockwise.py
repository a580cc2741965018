"""Predict a volume: in this process, or by daisy workers. Both do the same to the same blocks.

Workers and scan leave the number of threads to the backend, since that changes the order of its sums, and so the last bit.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

from lsd_experiments.arrays import open_volume
from lsd_experiments.blockwise import Block, BlockTask, Workers, run_blockwise
from lsd_experiments.blockwise.engine import clear_records
from lsd_experiments.blockwise.stage import (
    check_unchanged,
    find_volume,
    finish_volume,
    prepare_volume,
    records_directory,
)
from lsd_experiments.frameworks import import_gunpowder, import_keras
from lsd_experiments.geometry import Box
from lsd_experiments.locks import only_run
from lsd_experiments.prediction.plan import Plan, PredictionSettings, check_raw, make_plan

STAGE = "predict"
FACTORY = "lsd_experiments.prediction.blockwise:make_worker"


def predict_blockwise(plan: Plan, num_workers: int, overwrite: bool = False) -> bool:
    """Predict by ``num_workers`` daisy workers, from where an interrupted run of the same stopped.

    :returns: whether anything was left to predict
    :raises UserError: if raw is not fit for the network, or the outputs are there and were made otherwise
    :raises BlocksFailedError: see :func:`~lsd_experiments.blockwise.run_blockwise`
    """
    if not _prepare(plan, overwrite):
        return False
    run_blockwise(
        BlockTask(
            name=STAGE,
            total=plan.total,
            write_shape=plan.write_shape,
            context=plan.margin,
            factory=FACTORY,
            settings=dataclasses.asdict(plan.settings),
            records=records_directory(plan.settings.out_file, STAGE),
            workers=Workers(num_workers=num_workers),
            environment={"XLA_PYTHON_CLIENT_PREALLOCATE": "false"},  # so that workers share a GPU with JAX, too
        )
    )
    _finish(plan)
    return True


def predict_scan(plan: Plan, overwrite: bool = False) -> bool:
    """Predict in this process, block after block; see :func:`predict_blockwise`."""
    from tqdm import tqdm

    if not _prepare(plan, overwrite):
        return False
    with only_run(records_directory(plan.settings.out_file, STAGE)):
        predict = _block_function(plan)
        for box in tqdm(plan.blocks, desc=STAGE, unit="block", dynamic_ncols=True):
            predict(box)
    _finish(plan)
    return True


def make_worker(settings: dict[str, Any]) -> Callable[[Block], None]:
    """What works on one block; ``settings``: those of a :class:`Plan`, as JSON values."""
    predict = _block_function(make_plan(PredictionSettings.from_json(settings)))
    return lambda block: predict(block.write)


def _block_function(plan: Plan) -> Callable[[Box], None]:
    """What predicts one of the plan's blocks and writes it."""
    import_keras()
    import_gunpowder()
    from lsd_experiments.prediction.pipeline import block_predictor

    predict = block_predictor(plan)
    volumes = {name: open_volume(made.container, made.dataset, writable=True) for name, made in plan.outputs.items()}
    to_output = [-b for b in plan.total.begin]

    def process(box: Box) -> None:
        for name, values in predict(box).items():
            volumes[name].write(box.shift(to_output), values)

    return process


def _prepare(plan: Plan, overwrite: bool) -> bool:
    """Check raw and what is there already, and create what is not; whether anything is left to predict."""
    made_by = plan.provenance()
    outputs = plan.outputs.values()
    found = [find_volume(output.container, output.dataset) for output in outputs]
    for output, volume in zip(outputs, found, strict=True):
        if volume is not None and not overwrite:
            check_unchanged(output.name, volume.attrs.get("provenance"), made_by)
    check_raw(plan)
    anew = overwrite or None in found  # one block writes all heads: they are made together
    if anew:
        clear_records(records_directory(plan.settings.out_file, STAGE))
    finished = [prepare_volume(output, made_by, anew) for output in outputs]
    return not all(finished)


def _finish(plan: Plan) -> None:
    for output in plan.outputs.values():
        finish_volume(output)
