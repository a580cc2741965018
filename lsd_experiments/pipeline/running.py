"""Run one stage: do what is left of it, anew if it was made otherwise, or nothing."""

import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from lsd_experiments.blockwise import BlockTask, Workers, count_blocks, run_blockwise
from lsd_experiments.blockwise.blocks import block_at
from lsd_experiments.blockwise.spec import load_factory
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
    return run_planned(lambda: plan_stage(name, config), lambda: config.workers.for_stage(name), config.out_file,
                       _written(config), overwrite, show)


def run_planned(plan: Callable[[], Stage], workers: Callable[[], Workers], log_in: str, containers: Collection[str],
                overwrite: bool = False, show: Show | None = None, few: int = 0) -> str:
    """What a stage made, in words; arguments and errors as of :func:`run_stage`.

    :param plan: gives the stage; called again when it is done, to see whether its inputs are as they were
    :param workers: gives those that work on its blocks
    :param log_in: the container whose log says when it begins and ends
    :param containers: nothing else of this software writes to these meanwhile
    :param few: so many blocks, or less, are done by this process: workers take a second to start. It keeps no record of them,
        so that of these a run that was stopped does all again
    """
    stage = plan()
    name, state = stage.name, stage.state()
    if state.kind == "done" and not overwrite:
        if state.reason:
            logger.warning("%s: its output is taken as it is now: %s. --overwrite makes it anew", name, state.reason)
        return f"up to date: {stage.report()}"
    if isinstance(stage.work, BlockTask):
        check_workers(workers())
    with _all_locked(containers), log_to_file(Path(log_in) / ".blockwise" / "pipeline.log"):
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
            _work(stage, anew, made, workers, show, few)
            check_inputs(name, stage.made, plan().made)
            stage.finish()
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
    with _all_locked(_written(config)):
        yield


def _written(config: AnyPipeline) -> set[str]:
    written = {container for stage, container in config.containers.items() if stage != "export"}  # which has its own locks
    return {config.out_file, *written}


@contextmanager
def _all_locked(containers: Collection[str]) -> Iterator[None]:
    with ExitStack() as stack:
        for container in sorted(containers):
            lock = Path(container) / ".blockwise" / "pipeline.lock"
            stack.enter_context(only_run(Path(container), lock, "another command is at work on it"))
        yield


def _warn_of_other_code(stage: Stage) -> None:
    """Say so if a stage that goes on was begun by another commit: its blocks may be of two kinds."""
    begun, now = stage.stored().get("commit"), stage.made["commit"]
    if begun != now:
        logger.warning("%s goes on, but was begun by commit %s, and this is %s: to have all of it alike, pass --overwrite",
                       stage.name, begun, now)


def _work(stage: Stage, anew: bool, made: dict[str, Any], workers: Callable[[], Workers], show: Show | None, few: int) -> None:
    if not isinstance(stage.work, BlockTask):
        stage.work(made, anew, show or (lambda state: None))
    elif count_blocks(stage.work.total, stage.work.write_shape) <= few:
        _work_here(stage.work)
    else:
        task = stage.task(workers())
        run_all(stage, task, lambda: run_blockwise(task, show))


def _work_here(task: BlockTask) -> None:
    process = load_factory(task.factory)(dict(task.settings))
    for number in range(count_blocks(task.total, task.write_shape)):
        process(block_at(task.total, task.write_shape, task.context, number))
