"""Evaluate all thresholds without writing a segmentation.

Fragments are compared with the ground truth once, and each threshold's look-up table is applied to what that gave.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.arrays import Volume, check_labels, open_volume
from lsd_experiments.blockwise.stage import check_finished, describe_input, read_json
from lsd_experiments.blockwise.states import State, state_of
from lsd_experiments.errors import UserError
from lsd_experiments.pipeline.settings import EvaluateSettings, PipelineSettings
from lsd_experiments.pipeline.truths import Labels, Nodes, Region, Truth
from lsd_experiments.provenance import fingerprint_of, network_of, provenance

SUFFIXES = (".json", ".csv", ".png")


@dataclass(frozen=True)
class EvaluatePlan:
    """The scores of all look-up tables (``luts``: their provenance) of ``fragments`` against ``truths``.

    ``prefix``: of the files that get them.
    """

    fragments: Volume
    truths: tuple[Truth, ...]
    luts: dict[str, Any]
    settings: EvaluateSettings
    prefix: Path
    parity: bool
    name: str = "evaluate"

    @cached_property
    def made(self) -> dict[str, Any]:
        """The provenance of the scores: besides what counts, the network, and which curve is against which truth."""
        settings = self.settings
        parameters: dict[str, Any] = {"roi_offset": settings.roi_offset, "roi_shape": settings.roi_shape}
        if settings.skeletons_file is not None:
            parameters |= {"skeletons_scale": settings.skeletons_scale, "parity": self.parity}
        if settings.metric != "voi_sum":
            parameters["best"] = settings.metric
        inputs = {**{truth.kind: truth.described for truth in self.truths}, "fragments": describe_input(self.fragments),
                  "luts": {"name": self.merge_function, "fingerprint": fingerprint_of(self.luts)}}
        return {**provenance(self.name, parameters, inputs), **network_of(self.fragments.attrs.get("provenance")),
                "curves": {self.curve(truth): truth.kind for truth in self.truths}}

    bytes = 0  # some kilobytes

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
        if state.kind == "done" and missing:
            return State("begun", f"{_beside(self.prefix, missing[0])} is missing")
        if state.kind == "done" and not self._is_in_table():
            return State("begun", f"{self.settings.scores_db} does not have them")
        return state

    def work(self, anew: bool, made: dict[str, Any], show: Any) -> None:
        """Evaluate, or only write what is missing. ``made``: the provenance of the scores."""
        from lsd_experiments.evaluation import check_prefix, write_scores

        if not anew and self.state().kind == "begun":
            written = read_json(_beside(self.prefix, ".json"))
            curves, made = written["curves"], {**made, **written["provenance"]}
        else:
            check_finished(self.fragments, "extract_fragments")
            check_prefix(self.prefix)
            curves = {self.curve(truth): truth.rows(self.fragments, self._luts, self._region) for truth in self.truths}
        write_scores(curves, self.prefix, made, self.settings.metric)
        if self.settings.scores_db is not None:
            from lsd_experiments.scores import ScoresDatabase
            from lsd_experiments.scores.entries import entries_of

            ScoresDatabase(self.settings.scores_db).add(entries_of(curves, made))

    def check(self) -> None:
        """:raises UserError: if the truths do not fit, or the scores have no place in the table of ``scores_db``."""
        from lsd_experiments.scores import ScoresDatabase

        for truth in self.truths:
            truth.check(self.fragments, self._region)
        if self.settings.scores_db is not None:
            ScoresDatabase(self.settings.scores_db).check()
            if "network" not in self.made:
                raise UserError(f"[evaluate] scores_db: {self.fragments.name} does not say which network and checkpoint it came "
                                "from. Leave it out, and name them with scores.py add --network --iteration")

    def report(self) -> str:
        """The table, and the files."""
        from lsd_experiments.evaluation import table

        curves = read_json(_beside(self.prefix, ".json"))["curves"]
        files = [str(_beside(self.prefix, suffix)) for suffix in SUFFIXES]
        tables = [table({name: rows}, metric=self.settings.metric) for name, rows in curves.items()]
        return "\n".join([*tables, ", ".join([*files, *filter(None, [self.settings.scores_db])])])

    @property
    def _region(self) -> Region | None:
        offset, shape = self.settings.roi_offset, self.settings.roi_shape
        return (offset, shape) if offset is not None and shape is not None else None

    def _is_in_table(self) -> bool:
        from lsd_experiments.scores import ScoresDatabase

        return self.settings.scores_db is None or ScoresDatabase(self.settings.scores_db).holds(self.made["key"])

    def _luts(self, ids: NDArray[np.uint64]) -> Iterator[tuple[float, NDArray[np.uint64]]]:
        """Each threshold, and of its table the rows for the fragments ``ids``."""
        from lsd_experiments.segmentation import lut_path, part_of, read_lut, threshold_range
        from lsd_experiments.segmentation.blockwise import check_table

        options = self.luts["parameters"]
        for threshold in threshold_range(options["thresholds_minmax"], options["thresholds_step"]):
            path = lut_path(self.fragments.container, self.merge_function, threshold)
            check_table(path, self.fragments.container, self.merge_function)
            yield threshold, part_of(read_lut(path), ids)


def plan_evaluation(config: PipelineSettings, fragments: Volume, luts: dict[str, Any] | None) -> EvaluatePlan:
    """How the look-up tables of ``fragments`` are evaluated.

    :param luts: their provenance as it will be; None: of those that there are
    :raises UserError: if there is no ground truth or no look-up table, or they do not fit
    """
    from lsd_experiments.segmentation.blockwise import read_luts_provenance

    settings = evaluate_settings(config)
    truths = _truths(settings, config.parity)
    luts = luts or read_luts_provenance(fragments, config.agglomerate.merge_function)
    plan = EvaluatePlan(fragments, truths, luts, settings, config.scores_prefix, config.parity)
    plan.check()
    return plan


def best_threshold(config: PipelineSettings, fragments: Volume, luts: dict[str, Any] | None) -> float:
    """The best threshold, by the score that [evaluate] names.

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
    return float(scores["best"][plan.deciding]["threshold"])


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
