"""Run one stage: do what is left of it, anew if it was made otherwise, or nothing."""

import logging
from pathlib import Path

from lsd_experiments.blockwise import Workers, run_blockwise
from lsd_experiments.blockwise.stage import State
from lsd_experiments.locks import only_run
from lsd_experiments.pipeline.plans import PLANNERS, BlockwisePlan, Show, StagePlan, WholePlan
from lsd_experiments.pipeline.settings import PipelineSettings

logger = logging.getLogger(__name__)


def run_stage(name: str, config: PipelineSettings, overwrite: bool = False, show: Show | None = None) -> str:
    """What stage ``name`` of ``config`` made, in words.

    :param overwrite: do all of it, whatever there is
    :param show: is told how far it is (default: a bar of its own)
    :raises UserError: if its inputs are not there, do not fit, or another run is at work
    :raises BlocksFailedError: if blocks failed; all others are done
    """
    plan = PLANNERS[name](config, {})
    state = State("stale", "--overwrite is given") if overwrite else plan.state()
    if state.kind == "done":
        return f"up to date: {plan.report()}"
    out_file = Path(config.out_file)
    with only_run(out_file, out_file / ".blockwise" / "pipeline.lock", "another command is at work on it"):
        if state.kind == "stale" and not overwrite:
            logger.warning("%s is made anew: %s", name, state.reason)
        _work(plan, state.kind == "stale", config, show)
    return plan.report()


def workers_of(plan: StagePlan, config: PipelineSettings) -> Workers:
    """Where the workers of a stage run."""
    return config.workers.for_stage(plan.name)


def _work(plan: StagePlan, anew: bool, config: PipelineSettings, show: Show | None) -> None:
    if isinstance(plan, BlockwisePlan):
        task = plan.task(workers_of(plan, config))
        plan.prepare(anew)
        run_blockwise(task, show)
        plan.finish()
    else:
        assert isinstance(plan, WholePlan), f"{plan.name} is no stage"
        plan.work(anew, show or (lambda state: None))
