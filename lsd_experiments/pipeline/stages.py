"""Run one stage: do what is left of it, anew if it was made otherwise, or nothing."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from lsd_experiments.blockwise import Workers, run_blockwise
from lsd_experiments.blockwise.marks import run_all
from lsd_experiments.blockwise.states import check_inputs, made_again
from lsd_experiments.blockwise.workers import check_workers
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
    state = plan.state()
    if state.kind == "done" and not overwrite:
        if state.reason:
            logger.warning("%s: its output is taken as it is now: %s. --overwrite makes it anew", name, state.reason)
        return f"up to date: {plan.report()}"
    if isinstance(plan, BlockwisePlan):
        check_workers(workers_of(plan, config))
    with locked(config):
        if state.kind == "stale" and not overwrite:
            logger.warning("%s is made anew: %s", name, state.reason)
        if state.kind == "begun":
            _warn_of_other_code(name, plan)
        again = state.again or (overwrite and state.kind != "new")
        if state.kind == "begun" and state.reason:
            logger.warning("%s goes on: %s", name, state.reason)
        _work(name, plan, again or state.kind == "stale", made_again(plan.made) if again else plan.made, config, show)
    return plan.report()


@contextmanager
def locked(config: PipelineSettings) -> Iterator[None]:
    """While open, no other command writes to the containers of ``config``, or to its region graph.

    :raises UserError: if one does
    """
    with ExitStack() as stack:
        for container in sorted({config.out_file, config.fragments_place[0]}):
            lock = Path(container) / ".blockwise" / "pipeline.lock"
            stack.enter_context(only_run(Path(container), lock, "another command is at work on it"))
        yield


def _warn_of_other_code(name: str, plan: StagePlan) -> None:
    """Say so if a stage that goes on was begun by another commit: its blocks may be of two kinds."""
    begun, now = plan.stored().get("commit"), plan.made["commit"]
    if begun != now:
        logger.warning("%s goes on, but was begun by commit %s, and this is %s: to have all of it alike, pass --overwrite", name,
                       begun, now)


def workers_of(plan: StagePlan, config: PipelineSettings) -> Workers:
    """Where the workers of a stage run."""
    return config.workers.for_stage(plan.name)


def _work(name: str, plan: StagePlan, anew: bool, made: dict[str, Any], config: PipelineSettings, show: Show | None) -> None:
    if isinstance(plan, BlockwisePlan):
        task = plan.task(workers_of(plan, config))
        plan.prepare(anew, made)
        run_all(plan, task, lambda: run_blockwise(task, show))
        check_inputs(name, plan.made, PLANNERS[name](config, {}).made)
        plan.finish()
    else:
        assert isinstance(plan, WholePlan), f"{plan.name} is no stage"
        plan.work(anew, made, show or (lambda state: None))
        check_inputs(name, plan.made, PLANNERS[name](config, {}).made)
