"""Evaluate all thresholds without writing a segmentation.

Fragments are compared with the labels once, and the counts are relabelled for each threshold.
"""

from pathlib import Path
from typing import Any

from lsd_experiments.blockwise.stage import check_finished, check_unchanged, describe_input, read_json
from lsd_experiments.errors import UserError
from lsd_experiments.pipeline.settings import EvaluateSettings, PipelineSettings
from lsd_experiments.provenance import provenance


def evaluate_luts(config: PipelineSettings, overwrite: bool) -> str:
    """Write the scores of all look-up tables; the table to print.

    :raises UserError: if there are no labels or look-up tables, they do not fit, or scores are there that were made
        otherwise
    """
    from lsd_experiments.arrays import open_volume, to_box
    from lsd_experiments.evaluation import check_prefix, evaluate_thresholds, table, volume_contingency, write_scores
    from lsd_experiments.segmentation import lut_path, read_lut, threshold_range
    from lsd_experiments.segmentation.blockwise import read_luts_provenance

    settings = _labels(config)
    labels, fragments = open_volume(settings.labels_file, settings.labels_dataset), open_volume(*config.fragments_place)
    check_finished(fragments, "extract_fragments")
    merge_function = config.agglomerate.merge_function
    luts = read_luts_provenance(fragments, merge_function)
    box = None
    if settings.roi_offset is not None and settings.roi_shape is not None:
        box = to_box(labels, settings.roi_offset, settings.roi_shape)
    made = provenance("evaluate", {"roi_offset": settings.roi_offset, "roi_shape": settings.roi_shape},
                      {"labels": describe_input(labels), "fragments": describe_input(fragments),
                       "luts": _describe(merge_function, luts)})
    path = _scores_file(config)
    if path.exists() and not overwrite:
        written = read_json(path)
        check_unchanged(str(path), written.get("provenance"), made)
        if not all(path.with_name(f"{config.scores_prefix.name}{suffix}").exists() for suffix in (".csv", ".png")):
            write_scores(written["curves"], config.scores_prefix, written["provenance"])
        return table(written["curves"])
    check_prefix(config.scores_prefix)
    thresholds = threshold_range(luts["parameters"]["thresholds_minmax"], luts["parameters"]["thresholds_step"])
    rows = evaluate_thresholds(volume_contingency(fragments, labels, box), (
        (threshold, read_lut(lut_path(fragments.container, merge_function, threshold))) for threshold in thresholds))
    files = write_scores({merge_function: rows}, config.scores_prefix, made)
    return f"{table({merge_function: rows})}\n{', '.join(map(str, files))}"


def best_threshold(config: PipelineSettings) -> float:
    """The threshold of lowest VOI sum.

    :raises UserError: if it was not evaluated, or not with the look-up tables that there are now
    """
    from lsd_experiments.arrays import open_volume
    from lsd_experiments.segmentation.blockwise import read_luts_provenance

    _labels(config)
    merge_function = config.agglomerate.merge_function
    path = _scores_file(config)
    if not path.exists():
        raise UserError(f"{path}: no such file, so that the best threshold is unknown. Run evaluate first, or set a number "
                        "as [extract] threshold")
    scores = read_json(path)
    luts = read_luts_provenance(open_volume(*config.fragments_place), merge_function)
    if scores["provenance"]["inputs"]["luts"] != _describe(merge_function, luts):
        raise UserError(f"{path}: these scores are not of the look-up tables that there are now. Run evaluate with --overwrite")
    return float(scores["best"][merge_function]["threshold"])


def _describe(merge_function: str, luts: dict[str, Any]) -> str:
    return f"{merge_function} of {luts['date']}"


def _labels(config: PipelineSettings) -> EvaluateSettings:
    if config.evaluate is None:
        raise UserError("the configuration has no [evaluate] with 'labels_file'; evaluation, and threshold = \"best\", need it")
    return config.evaluate


def _scores_file(config: PipelineSettings) -> Path:
    prefix = config.scores_prefix
    return prefix.with_name(f"{prefix.name}.json")
