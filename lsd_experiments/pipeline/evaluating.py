"""Evaluate all thresholds without writing a segmentation.

Fragments are compared with the labels once, and the counts are relabelled for each threshold.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lsd_experiments.arrays import Volume, open_volume
from lsd_experiments.blockwise.stage import check_finished, describe_input, read_json
from lsd_experiments.blockwise.states import State, state_of
from lsd_experiments.errors import UserError
from lsd_experiments.pipeline.settings import EvaluateSettings, PipelineSettings
from lsd_experiments.provenance import fingerprint_of, provenance

SUFFIXES = (".json", ".csv", ".png")


@dataclass(frozen=True)
class EvaluatePlan:
    """The scores of all look-up tables (``luts``: their provenance) of ``fragments`` against ``labels``.

    ``prefix``: of the files that get them.
    """

    fragments: Volume
    labels: Volume
    luts: dict[str, Any]
    settings: EvaluateSettings
    prefix: Path
    name: str = "evaluate"

    @cached_property
    def made(self) -> dict[str, Any]:
        """The provenance of the scores."""
        return provenance(self.name, {"roi_offset": self.settings.roi_offset, "roi_shape": self.settings.roi_shape},
                          {"labels": describe_input(self.labels), "fragments": describe_input(self.fragments),
                           "luts": {"name": self.merge_function, "fingerprint": fingerprint_of(self.luts)}})

    bytes = 0  # some kilobytes

    @property
    def merge_function(self) -> str:
        """The merge function of the look-up tables."""
        return str(self.luts["inputs"]["edges"]["name"]).removeprefix("edges_")

    def stored(self) -> dict[str, Any]:
        """The provenance of the scores that there are."""
        path = _beside(self.prefix, ".json")
        provenance = read_json(path).get("provenance") if path.exists() else None
        return provenance if isinstance(provenance, dict) else {}

    def state(self) -> State:
        """What there is of the scores."""
        path = _beside(self.prefix, ".json")
        if not path.exists():
            return State("new")
        state = state_of(str(path), read_json(path).get("provenance"), True, self.made)
        missing = [suffix for suffix in SUFFIXES if not _beside(self.prefix, suffix).exists()]
        return State("begun", f"{_beside(self.prefix, missing[0])} is missing") if state.kind == "done" and missing else state

    def work(self, anew: bool, made: dict[str, Any], show: Any) -> None:
        """Evaluate, or only write the files that are missing. ``made``: the provenance of the scores."""
        from lsd_experiments.arrays import to_box
        from lsd_experiments.evaluation import check_prefix, evaluate_thresholds, volume_contingency, write_scores
        from lsd_experiments.segmentation import lut_path, part_of, read_lut, threshold_range

        if not anew and self.state().kind == "begun":
            written = read_json(_beside(self.prefix, ".json"))
            write_scores(written["curves"], self.prefix, written["provenance"])
            return
        check_finished(self.fragments, "extract_fragments")
        offset, shape = self.settings.roi_offset, self.settings.roi_shape
        box = to_box(self.labels, offset, shape) if offset is not None and shape is not None else None
        check_prefix(self.prefix)
        options = self.luts["parameters"]
        thresholds = threshold_range(options["thresholds_minmax"], options["thresholds_step"])
        counted = volume_contingency(self.fragments, self.labels, box)
        paths = {threshold: lut_path(self.fragments.container, self.merge_function, threshold) for threshold in thresholds}
        luts = ((threshold, part_of(read_lut(path), counted.segments)) for threshold, path in paths.items())
        rows = evaluate_thresholds(counted, luts)
        write_scores({self.merge_function: rows}, self.prefix, made)

    def report(self) -> str:
        """The table, and the files."""
        from lsd_experiments.evaluation import table

        curves = read_json(_beside(self.prefix, ".json"))["curves"]
        return f"{table(curves)}\n{', '.join(str(_beside(self.prefix, suffix)) for suffix in SUFFIXES)}"


def plan_evaluation(config: PipelineSettings, fragments: Volume, luts: dict[str, Any] | None) -> EvaluatePlan:
    """How the look-up tables of ``fragments`` are evaluated.

    :param luts: their provenance as it will be; None: of those that there are
    :raises UserError: if there are no labels or look-up tables
    """
    from lsd_experiments.segmentation.blockwise import read_luts_provenance

    settings = evaluate_settings(config)
    labels = open_volume(settings.labels_file, settings.labels_dataset)
    luts = luts or read_luts_provenance(fragments, config.agglomerate.merge_function)
    return EvaluatePlan(fragments, labels, luts, settings, config.scores_prefix)


def best_threshold(config: PipelineSettings, fragments: Volume, luts: dict[str, Any] | None) -> float:
    """The threshold of lowest VOI sum.

    :raises UserError: if it was not evaluated, or not with these look-up tables
    """
    plan = plan_evaluation(config, fragments, luts)
    path = _beside(plan.prefix, ".json")
    if not path.exists():
        raise UserError(f"{path}: no such file, so that the best threshold is unknown. Run evaluate first, or set a number "
                        "as [extract] threshold")
    scores = read_json(path)
    if scores.get("provenance", {}).get("key") != plan.made["key"]:
        raise UserError(f"{path}: these scores are not of the look-up tables that there are now. Run evaluate again")
    return float(scores["best"][plan.merge_function]["threshold"])


def evaluate_settings(config: PipelineSettings) -> EvaluateSettings:
    """:raises UserError: if the configuration names no ground truth."""
    if config.evaluate is None:
        raise UserError("the configuration has no [evaluate] with 'labels_file'; evaluation, and threshold = \"best\", need it")
    return config.evaluate


def _beside(prefix: Path, suffix: str) -> Path:
    return prefix.with_name(f"{prefix.name}{suffix}")
