"""Evaluate all thresholds without writing a segmentation.

Fragments are compared with the ground truth once, and each threshold's look-up table is applied to what that gave.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays import Volume, check_labels, open_volume
from lsd_experiments.errors import UserError
from lsd_experiments.pipeline.settings import EvaluateSettings, PipelineSettings
from lsd_experiments.pipeline.truths import Labels, Nodes, Truth
from lsd_experiments.provenance import fingerprint_of, network_of
from lsd_experiments.stages import FilesArtifact, Show, Stage
from lsd_experiments.stages.files import read_json
from lsd_experiments.stages.inputs import check_finished, describe_input

SUFFIXES = (".json", ".csv", ".png")


@dataclass(frozen=True)
class Evaluation:
    """All look-up tables (``luts``: their provenance) of ``fragments`` against ``truths``."""

    fragments: Volume
    truths: tuple[Truth, ...]
    luts: dict[str, Any]
    settings: EvaluateSettings

    @property
    def merge_function(self) -> str:
        """The merge function of the look-up tables."""
        return str(self.luts["inputs"]["edges"]["name"]).removeprefix("edges_")

    def curve(self, truth: Truth) -> str:
        """What the scores against ``truth`` are called."""
        return self.merge_function if truth is self.truths[0] else f"{self.merge_function}, {truth.kind}"

    @property
    def deciding(self) -> str:
        """The curve whose best threshold is the best: of labels, if they have the score that decides."""
        from lsd_experiments.evaluation.deciding import OF_LABELS

        kind = "labels" if self.settings.metric in OF_LABELS else "skeletons"
        return self.curve(next((truth for truth in self.truths if truth.kind == kind), self.truths[0]))

    def curves(self) -> dict[str, Any]:
        """The scores of all thresholds against each truth."""
        return {self.curve(truth): truth.rows(self.fragments, self._luts, self.settings.region) for truth in self.truths}

    def _luts(self, ids: NDArray[np.uint64]) -> Iterator[tuple[float, NDArray[np.uint64]]]:
        """Each threshold, and of its table the rows for the fragments ``ids``."""
        from lsd_experiments.segmentation import lut_path, part_of, read_lut, threshold_range
        from lsd_experiments.segmentation.blockwise import check_table

        options = self.luts["parameters"]
        for threshold in threshold_range(options["thresholds_minmax"], options["thresholds_step"]):
            path = lut_path(self.fragments.container, self.merge_function, threshold)
            check_table(path, self.fragments.container, self.merge_function)
            yield threshold, part_of(read_lut(path), ids)


def evaluation_stage(config: PipelineSettings, evaluation: Evaluation) -> Stage:
    """The scores of ``evaluation``, as files, and in the table of ``scores_db``.

    :raises UserError: if they have no place there
    """
    fragments, settings = evaluation.fragments, evaluation.settings
    parameters: dict[str, Any] = {"roi_offset": settings.roi_offset, "roi_shape": settings.roi_shape}
    if settings.skeletons_file is not None:
        parameters |= {"skeletons_scale": settings.skeletons_scale, "parity": config.parity}
    if settings.metric != "voi_sum":
        parameters["best"] = settings.metric
    inputs = {**{truth.kind: truth.described for truth in evaluation.truths}, "fragments": describe_input(fragments),
              "luts": {"name": evaluation.merge_function, "fingerprint": fingerprint_of(evaluation.luts)}}
    facts = {**network_of(fragments.attrs.get("provenance")),
             "curves": {evaluation.curve(truth): truth.kind for truth in evaluation.truths}}
    _check_table(settings, fragments, facts)
    prefix, metric, db = config.scores_prefix, settings.metric, settings.scores_db
    scores = FilesArtifact(
        _beside(prefix, ".json"), lambda made: [_beside(prefix, suffix) for suffix in SUFFIXES[1:]], "provenance",
        lambda made: "" if db is None or _table(db).holds(made["key"]) else f"{db} does not have them")

    def work(made: dict[str, Any], anew: bool, show: Show) -> None:
        from lsd_experiments.evaluation import check_prefix, write_scores

        if not anew and scores.state(made).kind == "begun":
            curves, made = read_json(scores.about)["curves"], {**made, **scores.stored()}
        else:
            check_finished(fragments, "extract_fragments")
            check_prefix(prefix)
            curves = evaluation.curves()
        write_scores(curves, prefix, made, metric)
        if db is not None:
            from lsd_experiments.scores.entries import entries_of

            _table(db).add(entries_of(curves, made))

    return Stage("evaluate", parameters, inputs, (scores,), work, facts, words=lambda: _report(prefix, settings))


def plan_evaluation(config: PipelineSettings, fragments: Volume, luts: dict[str, Any] | None) -> Evaluation:
    """How the look-up tables of ``fragments`` are evaluated.

    :param luts: their provenance as it will be; None: of those that there are
    :raises UserError: if there is no ground truth or no look-up table, or they do not fit
    """
    from lsd_experiments.segmentation.blockwise import read_luts_provenance

    settings = evaluate_settings(config)
    truths = tuple(truth.on_grid_of(fragments, config.predict.resample) for truth in _truths(settings, config.parity))
    luts = luts or read_luts_provenance(fragments, config.agglomerate.merge_function)
    evaluation = Evaluation(fragments, truths, luts, settings)
    for truth in truths:
        truth.check(fragments, settings.region)
    return evaluation


def best_threshold(config: PipelineSettings, fragments: Volume, luts: dict[str, Any] | None) -> float:
    """The best threshold, by the score that [evaluate] names.

    :raises UserError: if it was not evaluated, or not with these look-up tables
    """
    evaluation, path = plan_evaluation(config, fragments, luts), _beside(config.scores_prefix, ".json")
    if not path.exists():
        raise UserError(f"{path}: no such file, so that the best threshold is unknown. Run evaluate first, or set a number "
                        "as [extract] threshold")
    scores = read_json(path)
    if scores.get("provenance", {}).get("key") != evaluation_stage(config, evaluation).made["key"]:
        raise UserError(f"{path}: these scores are not of the look-up tables that there are now. Run evaluate again")
    return float(scores["best"][evaluation.deciding]["threshold"])


def evaluate_settings(config: PipelineSettings) -> EvaluateSettings:
    """:raises UserError: if the configuration names no ground truth."""
    if config.evaluate is None:
        raise UserError("the configuration has no [evaluate] with 'labels_file' or 'skeletons_file'; evaluation, and threshold "
                        "= \"best\", need it")
    return config.evaluate


def _truths(settings: EvaluateSettings, parity: bool) -> tuple[Truth, ...]:
    truths: list[Truth] = []
    if settings.labels_file is not None:
        labels = open_volume(settings.labels_file, settings.labels_dataset)
        check_labels(labels)
        truths.append(Labels(labels))
    if settings.skeletons_file is not None:
        truths.append(Nodes(Path(settings.skeletons_file), settings.skeletons_scale, parity))
    return tuple(truths)


def _beside(prefix: Path, suffix: str) -> Path:
    return prefix.with_name(f"{prefix.name}{suffix}")


def _table(db: str) -> Any:
    from lsd_experiments.scores import ScoresDatabase

    return ScoresDatabase(db)


def _check_table(settings: EvaluateSettings, fragments: Volume, facts: Mapping[str, Any]) -> None:
    """:raises UserError: if the scores have no place in the table of ``scores_db``"""
    if settings.scores_db is None:
        return
    _table(settings.scores_db).check()
    if "network" not in facts:
        raise UserError(f"[evaluate] scores_db: {fragments.name} does not say which network and checkpoint it came "
                        "from. Leave it out, and name them with scores.py add --network --iteration")


def _report(prefix: Path, settings: EvaluateSettings) -> str:
    """The table, and the files."""
    from lsd_experiments.evaluation import table

    curves = read_json(_beside(prefix, ".json"))["curves"]
    files = [str(_beside(prefix, suffix)) for suffix in SUFFIXES]
    tables = [table({name: rows}, metric=settings.metric) for name, rows in curves.items()]
    return "\n".join([*tables, ", ".join([*files, *filter(None, [settings.scores_db])])])
