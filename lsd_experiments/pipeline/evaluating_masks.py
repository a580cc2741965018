"""Evaluate masks of classes, or the components of one."""

from pathlib import Path
from typing import Any

from lsd_experiments.arrays import Volume, check_labels, open_volume
from lsd_experiments.errors import UserError
from lsd_experiments.geometry import Box
from lsd_experiments.pipeline.settings import ClassesSettings, InstancesSettings, MasksEvaluateSettings
from lsd_experiments.pipeline.truths import evaluated_part, on_grid_of
from lsd_experiments.provenance import network_of
from lsd_experiments.stages import FilesArtifact, Show, Stage
from lsd_experiments.stages.files import read_json
from lsd_experiments.stages.inputs import check_finished, describe_input

INSTANCE_SCORES = ("voi_split", "voi_merge", "voi_sum", "rand_split", "rand_merge", "adapted_rand_error", "segments", "labels")


def check_evaluate(config: ClassesSettings) -> MasksEvaluateSettings:
    """:raises UserError: if the configuration names no ground truth."""
    if config.evaluate is None:
        raise UserError("the configuration has no [evaluate] with 'labels_file', which evaluation needs")
    return config.evaluate


def masks_evaluation_stage(config: ClassesSettings, found: Volume) -> Stage:
    """The scores of ``found``: masks, or components, as ``config`` says.

    :raises UserError: if they and the ground truth do not fit
    """
    settings = check_evaluate(config)
    truth = on_grid_of(open_volume(settings.labels_file, settings.labels_dataset), found, config.predict.resample)
    box = evaluated_part(truth, found, settings.region)
    prefix, is_instances = config.scores_prefix, isinstance(config, InstancesSettings)
    _check(config, settings, found, truth)
    files = FilesArtifact(prefix.with_name(f"{prefix.name}.json"), lambda made: [prefix.with_name(f"{prefix.name}.csv")],
                          "provenance")

    def work(made: dict[str, Any], anew: bool, show: Show) -> None:
        from lsd_experiments.evaluation.reports import write_rows

        if not anew and files.state(made).kind == "begun":
            write_rows(read_json(files.about)["scores"], prefix, {**made, **files.stored()})
            return
        check_finished(found, "extract_components" if is_instances else "threshold")
        write_rows(_instances(found, truth, box) if is_instances else _classes(config, found, truth, box), prefix, made)

    parameters: dict[str, Any] = {"roi_offset": settings.roi_offset, "roi_shape": settings.roi_shape}
    parameters |= {} if is_instances else {"label_ids": settings.label_ids, "classes": _names(config, found)}
    return Stage("evaluate", parameters, {"labels": describe_input(truth), "found": describe_input(found)}, (files,), work,
                 network_of(found.attrs.get("provenance")), words=lambda: _report(files, prefix, is_instances))


def _classes(config: ClassesSettings, found: Volume, truth: Volume, box: Box) -> dict[str, Any]:
    from lsd_experiments.evaluation.classes import evaluate_class_volumes, mean_scores

    settings = check_evaluate(config)
    rows = evaluate_class_volumes(found, truth, settings.label_ids, box)
    named = dict(zip(_names(config, found), rows, strict=True))
    return {**named, "mean": mean_scores(rows)} if len(rows) > 1 else named


def _instances(found: Volume, truth: Volume, box: Box) -> dict[str, Any]:
    """VOI and Rand; matched instances (F1, average precision) have their place here."""
    from lsd_experiments.evaluation.volumes import evaluate_volumes

    return {"components": evaluate_volumes(found, truth, box)}


def _names(config: ClassesSettings, found: Volume) -> list[str]:
    return list(config.threshold.classes or map(str, config.threshold.channels or range(found.channels or 1)))


def _check(config: ClassesSettings, settings: MasksEvaluateSettings, found: Volume, truth: Volume) -> None:
    from lsd_experiments.evaluation.classes import check_classes

    if isinstance(config, InstancesSettings):
        check_labels(truth)
        if settings.label_ids is not None:
            raise UserError('[evaluate] label_ids are of classes, and this is of kind "instances", whose ids need not be the '
                            "truth's. Leave them out")
    else:
        check_classes(found, truth, settings.label_ids)


def _report(files: FilesArtifact, prefix: Path, is_instances: bool) -> str:
    """The table, and the files."""
    from lsd_experiments.evaluation.classes import SCORES
    from lsd_experiments.evaluation.reports import rows_table

    scores = read_json(files.about)["scores"]
    return f"{rows_table(scores, INSTANCE_SCORES if is_instances else SCORES)}\n{files.about}, {prefix}.csv"
