"""Predict a volume: in this process, or by daisy workers. Both do the same to the same blocks."""

import dataclasses
import os
import sys
from typing import Any

from lsd_experiments.arrays import Volume, open_volume
from lsd_experiments.blockwise import Block, BlockTask, run_blockwise
from lsd_experiments.blockwise.stage import (
    check_unchanged,
    find_volume,
    finish_volume,
    prepare_volume,
    records_directory,
)
from lsd_experiments.prediction.plan import Plan, PredictionSettings, make_plan

FACTORY = "lsd_experiments.prediction.blockwise:make_worker"
Outputs = dict[str, Volume]


def predict_blockwise(settings: PredictionSettings, num_workers: int, overwrite: bool = False) -> list[str]:
    """Predict by ``num_workers`` daisy workers; resumes. Returns the datasets in ``settings.out_file``."""
    plan = make_plan(settings)
    if not _prepare(plan, overwrite):
        return _datasets(plan)
    threads = str(max(1, (os.cpu_count() or 1) // num_workers))
    run_blockwise(
        BlockTask(
            name="predict",
            total=plan.total,
            write_shape=plan.write_shape,
            context=plan.margin,
            factory=FACTORY,
            settings=dataclasses.asdict(plan.settings),
            records=records_directory(plan.settings.out_file, "predict"),
            num_workers=num_workers,
            environment={"TF_NUM_INTRAOP_THREADS": threads, "OMP_NUM_THREADS": threads},
        )
    )
    _finish(plan)
    return _datasets(plan)


def predict_scan(settings: PredictionSettings, overwrite: bool = False) -> list[str]:
    """Predict in this process, block after block. Returns the datasets in ``settings.out_file``."""
    from tqdm import tqdm

    plan = make_plan(settings)
    if not _prepare(plan, overwrite):
        return _datasets(plan)
    predict = _block_function(plan)
    for number, box in enumerate(
        tqdm(list(plan.total.blocks(plan.write_shape)), desc="predict", unit="block", file=sys.stderr)
    ):
        predict(Block(number, box.grow(plan.margin), box))
    _finish(plan)
    return _datasets(plan)


def make_worker(settings: dict[str, Any]) -> Any:
    """The block function of a daisy worker; ``settings``: :class:`PredictionSettings` as JSON values."""
    return _block_function(make_plan(PredictionSettings.from_json(settings)))


def _block_function(plan: Plan) -> Any:
    from lsd_experiments.prediction.pipeline import block_predictor

    predict = block_predictor(plan)
    outputs = {
        output.dataset.rsplit("/", 1)[-1]: open_volume(output.container, output.dataset, writable=True)
        for output in plan.outputs()
    }

    def process(block: Block) -> None:
        written = block.write.shift([-b for b in plan.total.begin])
        for name, values in predict(block.write).items():
            outputs[name].write(written, values)

    return process


def _prepare(plan: Plan, overwrite: bool) -> bool:
    """Create the outputs that are not there; whether any of them is not finished."""
    made_by = plan.provenance()
    outputs = plan.outputs()
    found = {output: find_volume(output.container, output.dataset) for output in outputs}
    if not overwrite:
        for output, volume in found.items():
            if volume is not None:
                check_unchanged(output.name, volume.attrs.get("provenance"), made_by)
    anew = overwrite or None in found.values()
    if anew:
        from lsd_experiments.blockwise.engine import clear_records

        clear_records(records_directory(plan.settings.out_file, "predict"))
    prepared = [prepare_volume(output, made_by, anew) for output in outputs]
    if all(prepared):
        print(f"{plan.settings.out_file} is finished: nothing to predict", file=sys.stderr)
    return not all(prepared)


def _datasets(plan: Plan) -> list[str]:
    return [output.dataset for output in plan.outputs()]


def _finish(plan: Plan) -> None:
    for output in plan.outputs():
        finish_volume(output)
