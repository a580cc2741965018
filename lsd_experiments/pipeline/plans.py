"""The stages of a configuration, as they would run now: what each makes, of what, and what there is of it.

A plan is made from the volumes on disk, or from the plans of the stages before, so that all of a run can be told beforehand.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays import Volume, open_volume
from lsd_experiments.blockwise import BlockTask, Workers
from lsd_experiments.blockwise.states import State
from lsd_experiments.errors import UserError
from lsd_experiments.pipeline.settings import PipelineSettings

Show = Callable[[dict[str, Any]], None]


class StagePlan(Protocol):
    """What all plans have. ``made``: the provenance of the output; ``bytes``: of its volumes, without compression."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def made(self) -> dict[str, Any]: ...  # noqa: D102
    @property
    def bytes(self) -> int: ...  # noqa: D102

    def state(self) -> State:
        """What there is of the output."""

    def stored(self) -> dict[str, Any]:
        """The provenance of what there is of the output, empty if nothing is."""

    def report(self) -> str:
        """What was made, in words."""


@runtime_checkable
class BlockwisePlan(StagePlan, Protocol):
    """A stage that workers do in blocks."""

    def task(self, workers: Workers) -> BlockTask:
        """What is done to which blocks."""

    def prepare(self, anew: bool, made: dict[str, Any]) -> None:
        """Make ready the output; ``anew``: forget what there is of it. ``made``: the provenance that it gets."""

    def missing_blocks(self, done: NDArray[np.int64]) -> Mapping[str, Iterable[int]]:
        """Those of the blocks ``done``, which the scheduler calls so, whose output is not there as it was written: why, which."""

    def finish(self) -> None:
        """Note that all blocks are done."""


@runtime_checkable
class WholePlan(StagePlan, Protocol):
    """A stage that this process does."""

    def work(self, anew: bool, made: dict[str, Any], show: Show) -> None:
        """Do it, and tell ``show`` how far it is. ``made``: the provenance that the output gets."""


Before = Mapping[str, Any]  # plans of the stages before that are not on disk as they will be, by name


def plan_predict(config: PipelineSettings, before: Before) -> StagePlan:
    """Affinities (and LSDs) of raw, by a trained network."""
    from lsd_experiments.prediction.blockwise import PredictPlan
    from lsd_experiments.prediction.plan import make_plan
    from lsd_experiments.prediction.settings import PredictionSettings

    if config.setup is None or config.raw_file is None:
        missing = "setup" if config.setup is None else "raw_file"
        raise UserError(f"the configuration has no '{missing}', which predict needs")
    return PredictPlan(make_plan(PredictionSettings(
        setup=config.setup, raw_file=config.raw_file, raw_dataset=config.raw_dataset, out_file=config.out_file,
        iteration=config.iteration, **dataclasses.asdict(config.predict))))


def plan_extract_fragments(config: PipelineSettings, before: Before) -> StagePlan:
    """Fragments, and the nodes of the region graph."""
    from lsd_experiments.fragments.blockwise import plan_fragments

    return plan_fragments(_affs(config, before), *config.fragments_place, config.db_place, config.fragments, config.parity)


def plan_agglomerate(config: PipelineSettings, before: Before) -> StagePlan:
    """The edges of the region graph, with their merge scores."""
    from lsd_experiments.agglomeration import blockwise

    return blockwise.plan_agglomerate(_affs(config, before), _fragments(config, before), config.db_place, config.agglomerate)


def plan_find_segments(config: PipelineSettings, before: Before) -> StagePlan:
    """The look-up tables from fragments to segments, one per threshold."""
    from lsd_experiments.segmentation.blockwise import plan_luts

    edges = before["agglomerate"].current if "agglomerate" in before else None
    return plan_luts(_fragments(config, before), config.db_place, config.agglomerate.merge_function, edges,
                     config.find_segments, config.parity)


def plan_evaluate(config: PipelineSettings, before: Before) -> StagePlan:
    """The scores of all thresholds against the ground truth: a table, JSON, CSV and a plot."""
    from lsd_experiments.pipeline.evaluating import evaluate_settings, plan_evaluation

    evaluate_settings(config)
    return plan_evaluation(config, _fragments(config, before), _luts(before))


def plan_extract_segmentation(config: PipelineSettings, before: Before) -> StagePlan:
    """The segmentation at one threshold."""
    from lsd_experiments.pipeline.evaluating import best_threshold
    from lsd_experiments.segmentation.blockwise import plan_extract

    fragments, luts = _fragments(config, before), _luts(before)
    threshold = config.extract.threshold
    if threshold == "best":
        threshold = best_threshold(config, fragments, luts)
    _check_threshold(threshold, before)
    return plan_extract(fragments, config.agglomerate.merge_function, threshold, luts, config.extract)


# in the order of a whole run
PLANNERS: dict[str, Callable[[PipelineSettings, Before], StagePlan]] = {
    planner.__name__.removeprefix("plan_"): planner for planner in (
        plan_predict, plan_extract_fragments, plan_agglomerate, plan_find_segments, plan_evaluate, plan_extract_segmentation)}


def stage_names(config: PipelineSettings) -> list[str]:
    """The stages of ``config``: without ``setup`` the affinities are there, without [evaluate] nothing is evaluated."""
    left_out = {"predict": config.setup is None, "evaluate": config.evaluate is None}
    return [name for name in PLANNERS if not left_out.get(name)]


def _check_threshold(threshold: float, before: Before) -> None:
    """:raises UserError: if no look-up table will be made for ``threshold``"""
    thresholds = before["find_segments"].thresholds if "find_segments" in before else [threshold]
    if not any(math.isclose(threshold, made, abs_tol=1e-9) for made in thresholds):
        nearest = min(thresholds, key=lambda made: abs(made - threshold))
        step = before["find_segments"].settings.thresholds_step
        raise UserError(f"[extract] threshold = {threshold:g}: [find_segments] makes no look-up table for it, but from "
                        f"{thresholds[0]:g} to {thresholds[-1]:g} in steps of {step:g}. Take {nearest:g}, or other "
                        "thresholds_minmax and thresholds_step")


def _affs(config: PipelineSettings, before: Before) -> Volume:
    for volume in before["predict"].volumes.values() if "predict" in before else ():
        if (volume.container, volume.dataset) == config.affs:
            planned: Volume = volume
            return planned
    return _there(*config.affs, "predict")


def _fragments(config: PipelineSettings, before: Before) -> Volume:
    if "extract_fragments" in before:
        planned: Volume = before["extract_fragments"].volume
        return planned
    return _there(*config.fragments_place, "extract_fragments")


def _there(container: str, dataset: str, maker: str) -> Volume:
    """A volume on disk.

    :raises UserError: if it is not there; stage ``maker`` makes it
    """
    try:
        return open_volume(container, dataset)
    except UserError as error:
        raise UserError(f"{error}. Run {maker} first, if it is to make it") from error


def _luts(before: Before) -> dict[str, Any] | None:
    return before["find_segments"].current if "find_segments" in before else None
