"""The stages of a configuration, as they would run now: what each makes, of what, and what there is of it.

A stage is planned from the volumes on disk, or from the stages before, so that all of a run can be told beforehand.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from lsd_experiments.arrays import Volume, open_volume
from lsd_experiments.errors import UserError
from lsd_experiments.pipeline.settings import KINDS, AnyPipeline, ClassesSettings, InstancesSettings, PipelineSettings
from lsd_experiments.segmentation.segments import threshold_range
from lsd_experiments.stages import Stage

if TYPE_CHECKING:
    from lsd_experiments.conversion.stage import Source
    from lsd_experiments.prediction.settings import PredictionSettings

Before = Mapping[str, Stage]  # the stages before that are not on disk as they will be, by name


def plan_predict(config: AnyPipeline, before: Before) -> Stage:
    """Affinities (and LSDs) of raw, by a trained network."""
    from lsd_experiments.prediction.blockwise import prediction_stage
    from lsd_experiments.prediction.plan import make_plan

    return prediction_stage(make_plan(prediction_settings(config)))


def prediction_settings(config: AnyPipeline) -> "PredictionSettings":
    """What predict does.

    :raises UserError: if the configuration does not say
    """
    from lsd_experiments.prediction.settings import PredictionSettings

    if config.setup is None or config.raw_file is None:
        missing = "setup" if config.setup is None else "raw_file"
        raise UserError(f"the configuration has no '{missing}', which predict needs")
    return PredictionSettings(
        setup=config.setup, raw_file=config.raw_file, raw_dataset=config.raw_dataset, out_file=config.out_file,
        iteration=config.iteration, **dataclasses.asdict(config.predict))


def plan_extract_fragments(config: PipelineSettings, before: Before) -> Stage:
    """Fragments, and the nodes of the region graph."""
    from lsd_experiments.fragments.blockwise import fragments_stage

    return fragments_stage(_affs(config, before), *config.fragments_place, config.db_place, config.fragments, config.parity)


def plan_agglomerate(config: PipelineSettings, before: Before) -> Stage:
    """The edges of the region graph, with their merge scores."""
    from lsd_experiments.agglomeration.blockwise import agglomeration_stage

    return agglomeration_stage(_affs(config, before), _fragments(config, before), config.db_place, config.agglomerate)


def plan_find_segments(config: PipelineSettings, before: Before) -> Stage:
    """The look-up tables from fragments to segments, one per threshold."""
    from lsd_experiments.segmentation.blockwise import luts_stage

    return luts_stage(_fragments(config, before), config.db_place, config.agglomerate.merge_function,
                      _made("agglomerate", before), config.find_segments, config.parity)


def plan_evaluate(config: AnyPipeline, before: Before) -> Stage:
    """The scores against the ground truth, as files: of all thresholds, of masks, or of components."""
    if isinstance(config, ClassesSettings):
        from lsd_experiments.pipeline.evaluating_masks import check_evaluate, masks_evaluation_stage

        check_evaluate(config)
        found = _components(config, before) if isinstance(config, InstancesSettings) else _masks(config, before)
        return masks_evaluation_stage(config, found)
    from lsd_experiments.pipeline.evaluating import evaluate_settings, evaluation_stage, plan_evaluation

    assert isinstance(config, PipelineSettings), f"kind {config.kind}"
    evaluate_settings(config)
    return evaluation_stage(config, plan_evaluation(config, _fragments(config, before), _made("find_segments", before)))


def plan_extract_segmentation(config: PipelineSettings, before: Before) -> Stage:
    """The segmentation at one threshold."""
    from lsd_experiments.pipeline.evaluating import best_threshold
    from lsd_experiments.segmentation.blockwise import extraction_stage

    fragments, luts = _fragments(config, before), _made("find_segments", before)
    threshold = config.extract.threshold
    if threshold == "best":
        threshold = best_threshold(config, fragments, luts)
    _check_threshold(config, threshold, before)
    return extraction_stage(fragments, config.agglomerate.merge_function, threshold, luts, config.extract)


def plan_threshold(config: ClassesSettings, before: Before) -> Stage:
    """The masks of classes."""
    from lsd_experiments.thresholding.blockwise import threshold_stage

    return threshold_stage(_volume(*config.probabilities, "predict", before), config.out_file, config.threshold)


def plan_label_blocks(config: InstancesSettings, before: Before) -> Stage:
    """The connected parts of each block."""
    from lsd_experiments.components.blockwise import labeling_stage

    return labeling_stage(_masks(config, before), config.components)


def plan_join_blocks(config: InstancesSettings, before: Before) -> Stage:
    """Which of them are one component."""
    from lsd_experiments.components.blockwise import joining_stage

    return joining_stage(_parts(config, before), config.components)


def plan_extract_components(config: InstancesSettings, before: Before) -> Stage:
    """The components."""
    from lsd_experiments.components.blockwise import components_stage

    return components_stage(_parts(config, before), _made("join_blocks", before), config.components)


def plan_export(config: AnyPipeline, before: Before) -> Stage:
    """The results in another format."""
    from lsd_experiments.conversion.stage import export_stage

    if config.export is None:
        raise UserError("the configuration has no [export], which says what is written in which format")
    names = config.export.datasets or tuple(config.results)[:1]
    return export_stage([_exported(name, config, before) for name in names], config.export_directory, config.export,
                        config.workers.for_stage("export"))


def _exported(name: str, config: AnyPipeline, before: Before) -> "Source":
    """The volume that [export] calls ``name``: a result, or a dataset of ``out_file``."""
    from lsd_experiments.conversion.stage import Source

    if name not in config.results:
        try:
            return Source(name, open_volume(config.out_file, name), None, None)
        except UserError as error:
            raise UserError(f"[export] datasets: '{name}' is none of {', '.join(config.results)}, and {error}") from error
    container, dataset, maker = config.results[name]
    if dataset is None:
        assert isinstance(config, PipelineSettings), "others know their datasets"
        dataset = _segmentation_dataset(config, before)
    return Source(name, _volume(container, dataset, maker, before), "raw" if name == "affinities" else "labels", maker)


def _segmentation_dataset(config: PipelineSettings, before: Before) -> str:
    from lsd_experiments.pipeline.evaluating import best_threshold
    from lsd_experiments.segmentation.luts import threshold_name

    if "extract_segmentation" in before:
        return before["extract_segmentation"].volumes[0].dataset
    threshold = config.extract.threshold
    if threshold == "best":
        threshold = best_threshold(config, _fragments(config, before), _made("find_segments", before))
    return f"volumes/segmentation_{threshold_name(threshold)}"


# of all kinds
PLANNERS: dict[str, Callable[[Any, Before], Stage]] = {
    planner.__name__.removeprefix("plan_"): planner for planner in (
        plan_predict, plan_extract_fragments, plan_agglomerate, plan_find_segments, plan_evaluate, plan_extract_segmentation,
        plan_threshold, plan_label_blocks, plan_join_blocks, plan_extract_components, plan_export)}


def plan_stage(name: str, config: AnyPipeline, before: Before | None = None) -> Stage:
    """Stage ``name`` of ``config``.

    :param before: the stages before that are not on disk as they will be, by name
    :raises UserError: if it is not possible
    """
    check_stage(name, config)
    return PLANNERS[name](config, before or {})


def check_stage(name: str, config: AnyPipeline) -> None:
    """:raises UserError: if the kind of ``config`` has no stage ``name``"""
    if name not in config.stages:
        having = [f'"{kind}"' for kind, model in KINDS.items() if name in model.stages]
        raise UserError(f"{name} is a stage of kind = {' or '.join(having)}, and this configuration's kind is \"{config.kind}\", "
                        f"whose stages are {', '.join(config.stages)}")


def stage_names(config: AnyPipeline) -> list[str]:
    """The stages of ``config``: without ``setup`` what is predicted is there; without [evaluate] or [export] none is done."""
    left_out = {"predict": config.setup is None, "evaluate": config.evaluate is None,
                "export": config.export is None}
    return [name for name in config.stages if not left_out.get(name)]


def _check_threshold(config: PipelineSettings, threshold: float, before: Before) -> None:
    """:raises UserError: if no look-up table will be made for ``threshold``"""
    if "find_segments" not in before:
        return
    step = config.find_segments.thresholds_step
    thresholds = threshold_range(config.find_segments.thresholds_minmax, step)
    if not any(math.isclose(threshold, made, abs_tol=1e-9) for made in thresholds):
        nearest = min(thresholds, key=lambda made: abs(made - threshold))
        raise UserError(f"[extract] threshold = {threshold:g}: [find_segments] makes no look-up table for it, but from "
                        f"{thresholds[0]:g} to {thresholds[-1]:g} in steps of {step:g}. Take {nearest:g}, or other "
                        "thresholds_minmax and thresholds_step")


def _affs(config: PipelineSettings, before: Before) -> Volume:
    return _volume(*config.affs, "predict", before)


def _fragments(config: PipelineSettings, before: Before) -> Volume:
    return _volume(*config.fragments_place, "extract_fragments", before)


def _masks(config: ClassesSettings, before: Before) -> Volume:
    return _volume(config.out_file, config.threshold.out_dataset, "threshold", before)


def _parts(config: InstancesSettings, before: Before) -> Volume:
    return _volume(config.out_file, config.components.parts_dataset, "label_blocks", before)


def _components(config: InstancesSettings, before: Before) -> Volume:
    return _volume(config.out_file, config.components.out_dataset, "extract_components", before)


def _volume(container: str, dataset: str, maker: str, before: Before) -> Volume:
    """A volume as stage ``maker`` will make it, or one that is on disk.

    :raises UserError: if it is not there
    """
    for volume in before[maker].volumes if maker in before else ():
        if (volume.container, volume.dataset) == (container, dataset):
            return volume
    try:
        return open_volume(container, dataset)
    except UserError as error:
        raise UserError(f"{error}. Run {maker} first, if it is to make it") from error


def _made(name: str, before: Before) -> dict[str, Any] | None:
    """The provenance of what stage ``name`` will make; None if it is not among those before."""
    return before[name].current if name in before else None
