"""Which results may be compared, and which are trainings of one variant that differ in their seed alone.

Results are compared within one ground truth, region, merge function and set of thresholds, and nowhere else. Within a
comparison, a variant is a network's directory, its iteration and all parameters of training, prediction and segmentation but
the seed; names say in what variants of one name differ.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from lsd_experiments.evaluation import best
from lsd_experiments.evaluation.deciding import deciding_metric
from lsd_experiments.provenance import identity
from lsd_experiments.report.results import Result

SEED = re.compile(r"[_-]?s(eed)?[_-]?\d+$")  # at the end of a directory's name
OF_PLACES = {
    "seed",
    "data",
    "log_dir",
    "lsds_setup",
    "num_workers",
    "save_every",
    "snapshot_every",
    "variant",
    "iterations",
    "minutes",
    "validate_every",
    "validate_segmentation",
    "roi_offset",
    "roi_shape",
}  # parameters that make no other variant


@dataclass(frozen=True)
class Chosen:
    """The row that counts of a result, and why; ``extra``: scores of the same threshold against skeletons."""

    row: Mapping[str, Any]
    by: str
    extra: Mapping[str, Any] = field(default_factory=dict)

    def get(self, score: str) -> float | None:
        """A score, if there is one."""
        found = self.row.get(score, self.extra.get(score))
        return None if found is None else float(found)


@dataclass(frozen=True)
class Variant:
    """Trainings that differ in their seed alone, in order of the seed."""

    name: str
    results: Sequence[Result]
    choose: Callable[[Result], Chosen]

    @cached_property
    def chosen(self) -> list[Chosen]:
        """The row of each result that counts."""
        return [self.choose(result) for result in self.results]

    @property
    def seeds(self) -> list[int | None]:
        """Of each result; None where nothing says it."""
        return [seed_of(result) for result in self.results]

    def values(self, score: str) -> list[float]:
        """A score of each result that has it."""
        return [value for chosen in self.chosen if (value := chosen.get(score)) is not None]

    def mean(self, score: str) -> float | None:
        """The mean over seeds; None if there is none."""
        found = self.values(score)
        return float(np.mean(found)) if found else None

    def spread(self, score: str) -> float | None:
        """The standard deviation over seeds; None with fewer than two."""
        found = self.values(score)
        return float(np.std(found, ddof=1)) if len(found) > 1 else None


@dataclass(frozen=True)
class Comparison:
    """Variants on one ground truth, with one set of thresholds; the best mean first."""

    truth: str
    kind: str
    merge_function: str
    thresholds: tuple[float, ...]
    metric: str
    variants: list[Variant]
    differences: dict[str, list[str]] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """In words."""
        return f"{self.truth}, {self.merge_function}, {describe(self.thresholds)}"


def describe(thresholds: Sequence[float]) -> str:
    """Thresholds in words."""
    if not thresholds:
        return "no threshold"
    if len(thresholds) == 1:
        return f"threshold {thresholds[0]:g}"
    return f"{len(thresholds)} thresholds, {thresholds[0]:g} to {thresholds[-1]:g}"


def compare(results: Sequence[Result], validation: Sequence[Result] = ()) -> list[Comparison]:
    """The comparisons that ``results`` allow.

    :param validation: results on other volumes, whose best thresholds are used for those of the same network and iteration
    """
    chosen: dict[Any, list[Result]] = {}
    for result in validation:
        chosen.setdefault(_network(result), []).append(result)
    skeletons = {result.source: result for result in results if result.kind == "skeletons"}

    def choose(result: Result) -> Chosen:
        found = _chosen(result, _most_alike(result, chosen.get(_network(result), [])))
        beside = skeletons[result.source].rows if result.kind == "labels" and result.source in skeletons else ()
        same = next((row for row in beside if row.get("threshold") == found.row.get("threshold")), {})
        return replace(found, extra={key: same.get(key) for key in ("erl", "normalized_erl")})

    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(json.dumps(_comparable(result), sort_keys=True), []).append(result)
    return [_comparison(group, choose) for group in groups.values()]


def seed_of(result: Result) -> int | None:
    """The seed of the network's training, where its checkpoint says it."""
    return result.training.seed if result.training else None


def variant_name(result: Result) -> str:
    """The directory's name without a seed at its end, or what the user said."""
    if result.given:
        return result.given
    name = result.network.rpartition("/")[2]
    return SEED.sub("", name) or name


def _comparable(result: Result) -> dict[str, Any]:
    """What must be equal for two results to be compared."""
    made = result.provenance
    inputs, parameters = made.get("inputs", {}), made.get("parameters", {})
    return {
        "truth": identity(inputs.get(result.kind, result.source)),
        "kind": result.kind,
        "region": [parameters.get("roi_offset"), parameters.get("roi_shape")],
        "parity": parameters.get("parity", False),
        "merge_function": inputs.get("luts", {}).get("name"),
        "thresholds": [row.get("threshold") for row in result.rows],
        "voxels": None if result.kind == "skeletons" else result.rows[0].get("voxels"),
    }


def _comparison(results: list[Result], choose: Callable[[Result], Chosen]) -> Comparison:
    what = _comparable(results[0])
    by_name: dict[str, dict[str, list[Result]]] = {}
    for result in results:
        key = "" if result.given else json.dumps(parameters_of(result), sort_keys=True, default=str)
        by_name.setdefault(variant_name(result), {}).setdefault(key, []).append(result)
    variants = [
        Variant(
            _told_apart(name, group, groups), sorted(group, key=lambda one: (seed_of(one) is None, seed_of(one) or 0)), choose
        )
        for name, groups in by_name.items()
        for group in groups.values()
    ]
    metric = deciding_metric(results[0].rows)
    sign = 1 if metric == "voi_sum" else -1
    variants.sort(key=lambda variant: (sign * (variant.mean(metric) or 0.0), variant.name))
    return Comparison(
        _said(results[0], what),
        str(what["kind"]),
        str(what["merge_function"] or "-"),
        tuple(t for t in what["thresholds"] if t is not None),
        metric,
        variants,
        _differences(variants),
    )


def _said(result: Result, what: Mapping[str, Any]) -> str:
    truth = result.provenance.get("inputs", {}).get(result.kind, Path(result.source).name)
    name = (
        f"{truth['name']} ({str(truth['fingerprint']).removeprefix('sha256:')[:8]})" if isinstance(truth, Mapping) else str(truth)
    )
    offset, shape = what["region"]
    where = f", {_numbers(offset)} + {_numbers(shape)} nm" if offset is not None else ""
    return f"{name}{where}{', parity' if what['parity'] else ''}"


def parameters_of(result: Result) -> dict[str, Any]:
    """What makes results of one directory different variants: by ``<stage>.<parameter>``."""
    found: dict[str, Any] = {"iteration": result.iteration}
    training = result.training
    stages = {stage: made.get("parameters", {}) for stage, made in result.made.items() if stage != "evaluate"}
    if training is not None:
        stages["train"] = training.parameters
        if training.checkpoint is not None:
            network = training.checkpoint.network
            found["network"] = {key: getattr(network, key, None) for key in ("num_fmaps", "fmap_inc_factor", "num_fmaps_out")}
    for stage, parameters in stages.items():
        found |= {f"{stage}.{key}": value for key, value in parameters.items() if key not in OF_PLACES | {"iteration"}}
    return found


def _told_apart(name: str, group: list[Result], groups: Mapping[str, list[Result]]) -> str:
    """The name, and in what it differs from others of its name."""
    if len(groups) == 1:
        return name
    all_of_them = [parameters_of(others[0]) for others in groups.values()]
    own = parameters_of(group[0])
    differing = [
        key
        for key in dict.fromkeys(key for one in all_of_them for key in one)
        if len({json.dumps(one.get(key), default=str) for one in all_of_them}) > 1
    ]
    said = [f"{key.rpartition('.')[2]} {_short(own.get(key))}" for key in differing[:3]]
    return f"{name} ({', '.join(said)})"


def _differences(variants: Sequence[Variant]) -> dict[str, list[str]]:
    """The parameters in which results differ, within a variant or between two: the values of each variant."""
    every = [[parameters_of(result) for result in variant.results] for variant in variants]
    keys = dict.fromkeys(key for group in every for one in group for key in one)
    values = {key: [", ".join(dict.fromkeys(_short(one.get(key)) for one in group)) for group in every] for key in keys}
    return {
        key: found
        for key, found in values.items()
        if len(set(found)) > 1
        or any(", " in one and len({_short(p.get(key)) for p in group}) > 1 for one, group in zip(found, every, strict=True))
    }


def _chosen(result: Result, validation: Result | None) -> Chosen:
    """The row at the validation's best threshold, or the best of these very rows."""
    if validation is not None:
        threshold = validation.rows[best(validation.rows)].get("threshold")
        row = next((row for row in result.rows if row.get("threshold") == threshold), None)
        if row is not None:
            return Chosen(row, "validation")
        result.lacks.append(f"the validation's threshold, {threshold}, is none of these: the best of the test is taken")
    return Chosen(result.rows[best(result.rows)], "test")


def _most_alike(result: Result, validation: Sequence[Result]) -> Result | None:
    """Of several validations of a network, with its plain weights and with averages, the one that was made as ``result`` was."""
    if len(validation) < 2:
        return validation[0] if validation else None

    def made_by(one: Result) -> dict[str, Any]:
        return {**parameters_of(one), "merge_function": _comparable(one)["merge_function"]}

    own = made_by(result)

    def differing(other: Result) -> int:
        its = made_by(other)
        return sum(own.get(key) != its.get(key) for key in own.keys() | its.keys())

    return min(reversed(validation), key=differing)


def _network(result: Result) -> tuple[str, str, int | None, int | None]:
    where = str(result.training.directory.resolve()) if result.training else result.network
    return where, result.kind, result.iteration, seed_of(result)


def _short(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, Mapping):
        return " ".join(f"{key} {_short(item)}" for key, item in value.items() if item is not None)
    if isinstance(value, list | tuple):
        return _numbers(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _numbers(values: Any) -> str:
    return " ".join(f"{value:.10g}" if isinstance(value, int | float) else str(value) for value in values)
