"""Run one stage: do what is left of it, anew if it was made otherwise, or nothing."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from lsd_experiments.blockwise import BlockTask, run_blockwise
from lsd_experiments.blockwise.workers import check_workers
from lsd_experiments.locks import only_run
from lsd_experiments.logs import log_to_file
from lsd_experiments.pipeline.plans import plan_stage
from lsd_experiments.pipeline.settings import AnyPipeline
from lsd_experiments.stages import Show, Stage
from lsd_experiments.stages.marks import run_all
from lsd_experiments.stages.states import check_inputs, made_again

logger = logging.getLogger(__name__)


def run_stage(name: str, config: AnyPipeline, overwrite: bool = False, show: Show | None = None) -> str:
    """What stage ``name`` of ``config`` made, in words.

    :param overwrite: do all of it, whatever there is
    :param show: is told how far it is (default: a bar of its own)
    :raises UserError: if its inputs are not there, do not fit, or another run is at work
    :raises BlocksFailedError: if blocks failed; all others are done
    """
    stage = plan_stage(name, config)
    state = stage.state()
    if state.kind == "done" and not overwrite:
        if state.reason:
            logger.warning("%s: its output is taken as it is now: %s. --overwrite makes it anew", name, state.reason)
        return f"up to date: {stage.report()}"
    if isinstance(stage.work, BlockTask):
        check_workers(config.workers.for_stage(name))
    with locked(config), log_to_file(Path(config.out_file) / ".blockwise" / "pipeline.log"):
        if state.kind == "stale" and not overwrite:
            logger.warning("%s is made anew: %s", name, state.reason)
        if state.kind == "begun":
            _warn_of_other_code(stage)
        again = state.again or (overwrite and state.kind != "new")
        if state.kind == "begun" and state.reason:
            logger.warning("%s goes on: %s", name, state.reason)
        made = made_again(stage.made) if again else stage.made
        anew = again or state.kind == "stale"
        stage.prepare(anew, made)
        logger.info("%s begins: %s", name, state.reason or state.kind)
        try:
            _work(stage, anew, made, config, show)
        except BaseException as error:
            logger.info("%s ends before it is done: %s", name, type(error).__name__)
            raise
        logger.info("%s is done", name)
    return stage.report()


@contextmanager
def locked(config: AnyPipeline) -> Iterator[None]:
    """While open, no other command writes to the containers of ``config``, or to its region graph.

    :raises UserError: if one does
    """
    with ExitStack() as stack:
        written = {container for stage, container in config.containers.items() if stage != "export"}  # which has its own locks
        for container in sorted({config.out_file, *written}):
            lock = Path(container) / ".blockwise" / "pipeline.lock"
            stack.enter_context(only_run(Path(container), lock, "another command is at work on it"))
        yield


def _warn_of_other_code(stage: Stage) -> None:
    """Say so if a stage that goes on was begun by another commit: its blocks may be of two kinds."""
    begun, now = stage.stored().get("commit"), stage.made["commit"]
    if begun != now:
        logger.warning("%s goes on, but was begun by commit %s, and this is %s: to have all of it alike, pass --overwrite",
                       stage.name, begun, now)


def _work(stage: Stage, anew: bool, made: dict[str, Any], config: AnyPipeline, show: Show | None) -> None:
    if isinstance(stage.work, BlockTask):
        task = stage.task(config.workers.for_stage(stage.name))
        run_all(stage, task, lambda: run_blockwise(task, show))
    else:
        stage.work(made, anew, show or (lambda state: None))
    check_inputs(stage.name, stage.made, plan_stage(stage.name, config).made)
    stage.finish()
