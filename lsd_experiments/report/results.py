"""Results as 03_predict leaves them: a configuration, the scores that it names, and where these come from.

A result is the scores of one network's segmentation over all thresholds, against one ground truth. What a result does not have,
or what does not fit it any more, is None, and a line in ``lacks`` says so.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from lsd_experiments.arrays import open_volume
from lsd_experiments.errors import UserError
from lsd_experiments.pipeline.configuration import load_any
from lsd_experiments.pipeline.settings import PipelineSettings
from lsd_experiments.provenance import fingerprint_of
from lsd_experiments.report.training import Training, read_training

Row = Mapping[str, Any]
CONFIGURATIONS = ("*.toml",)
SKIPPED = {"dataset.toml", "expected.toml", "pyproject.toml"}  # of experiments: no configurations of 03_predict


@dataclass(frozen=True)
class Result:
    """The scores of one network against one truth.

    :param source: the file that was read
    :param given: the variant's name, where the user gave one
    :param kind: ``labels`` or ``skeletons``
    :param rows: the scores at each threshold, ascending
    :param provenance: of the scores
    :param config: the configuration, if there is one: where volumes are
    """

    source: str
    given: str | None
    kind: str
    rows: Sequence[Row]
    provenance: Mapping[str, Any]
    config: PipelineSettings | None = None
    lacks: list[str] = field(default_factory=list)

    @property
    def network(self) -> str:
        """``<directory>/<variant>`` of the network, or the file's name where nothing says it."""
        return str(self.provenance.get("network", {}).get("name") or Path(self.source).stem)

    @property
    def iteration(self) -> int | None:
        """That of the checkpoint that predicted."""
        found = self.provenance.get("network", {}).get("iteration")
        return None if found is None else int(found)

    @cached_property
    def training(self) -> Training | None:
        """What is known of the network's training: its checkpoint, and curves beside it."""
        if self.config is None or self.config.setup is None:
            return None
        found = read_training(Path(self.config.setup), self.iteration)
        self.lacks.extend(found.lacks)
        return found

    @cached_property
    def made(self) -> dict[str, Mapping[str, Any]]:
        """The provenance of each stage, by its name, as far as it is there."""
        found: dict[str, Mapping[str, Any]] = {"evaluate": self.provenance}
        if self.config is None:
            return found
        for stage, place in (("extract_fragments", self.config.fragments_place), ("predict", self.config.affs)):
            try:
                said = open_volume(*place).attrs.get("provenance")
            except UserError as error:
                self.lacks.append(str(error))
                continue
            if isinstance(said, Mapping):
                found[stage] = said
        expected = self.provenance.get("inputs", {}).get("fragments", {}).get("fingerprint")
        there = found.get("extract_fragments")
        if there is None or not str(expected).startswith(fingerprint_of(there)):
            self.lacks.append("the fragments are not those that were scored: no blocks, no pictures")
            return {"evaluate": self.provenance}
        return found

    @property
    def has_volumes(self) -> bool:
        """Whether the fragments that were scored are there."""
        return "extract_fragments" in self.made


def read_results(places: Sequence[str]) -> list[Result]:
    """The results of configurations, directories with configurations, and JSON files of evaluate.py.

    :param places: paths, each perhaps as ``NAME=PATH``: the variant's name, instead of its directory's
    :raises UserError: if one is not there or is nothing of the kind, or nothing was evaluated
    """
    found: dict[str, Result] = {}
    left = []
    for place in places:
        given, path = named(place)
        if not path.exists():
            raise UserError(
                f"{path}: no such file or directory. Name configurations of 03_predict, directories that hold some, or "
                "the .json that evaluate.py wrote"
            )
        results = [result for file in _files(path) for result in _read(file, given)]
        left += [] if results else [path]
        found |= {f"{result.provenance.get('key', result.source)} {result.kind}": result for result in results}
    if left and not found:
        raise UserError(f"{left[0]}: holds no scores. Name a segmentation's configuration, and run evaluate.py with it first")
    return list(found.values())


def not_evaluated(places: Sequence[str]) -> list[str]:
    """In words, of which ``places`` :func:`read_results` takes nothing, as they hold no scores yet."""
    paths = [named(place)[1] for place in places]
    return [f"{path.name}: holds no scores (yet), and is left out" for path in paths if not any(map(_has_scores, _files(path)))]


def _has_scores(path: Path) -> bool:
    return path.suffix == ".json" or _is_evaluated(path)


def named(place: str) -> tuple[str | None, Path]:
    """The name in ``NAME=PATH``, if there is one, and the path."""
    name, sign, path = place.partition("=")
    return (name, Path(path)) if sign and name and "/" not in name and not Path(place).exists() else (None, Path(place))


def _files(path: Path) -> Iterator[Path]:
    """The configurations in a directory, but not in its containers; and scores that none of them names."""
    if not path.is_dir():
        yield path
        return
    inside = sorted(path.iterdir())
    for file in inside:
        if file.is_dir() and not file.name.startswith(".") and file.suffix not in (".zarr", ".n5"):
            yield from _files(file)
        elif file.suffix == ".toml" and file.name not in SKIPPED and _is_evaluated(file):
            yield file
    named = {_prefix(file) for file in inside if file.suffix == ".toml" and file.name not in SKIPPED}
    yield from (file for file in inside if file.suffix == ".json" and file.with_suffix("") not in named and _is_scores(file))


def _is_evaluated(path: Path) -> bool:
    prefix = _prefix(path)
    return prefix is not None and prefix.with_name(f"{prefix.name}.json").is_file()


def _prefix(path: Path) -> Path | None:
    """Where a configuration puts its scores; None, if it is none of neurons, or not to be evaluated."""
    try:
        config = load_any(path)
    except UserError:
        return None
    return config.scores_prefix if isinstance(config, PipelineSettings) and config.evaluate is not None else None


def _is_scores(path: Path) -> bool:
    try:
        summary = json.loads(path.read_text())
    except (OSError, ValueError):
        return False
    return isinstance(summary, dict) and {"curves", "best", "provenance"} <= summary.keys()


def _read(path: Path, given: str | None) -> list[Result]:
    """:raises UserError: if the file is no configuration, or not what evaluate.py writes"""
    if path.suffix == ".json":
        return _results(path, given, None)
    config = load_any(path)
    if not isinstance(config, PipelineSettings) or config.evaluate is None:
        raise UserError(f"{path}: has no [evaluate] of neurons. Name a configuration that is evaluated")
    scores = config.scores_prefix.with_name(f"{config.scores_prefix.name}.json")
    return _results(scores, given, config) if scores.is_file() else []


def _results(path: Path, given: str | None, config: PipelineSettings | None) -> list[Result]:
    try:
        summary = json.loads(path.read_text())
        curves, made = summary["curves"], summary["provenance"]
        for name, rows in curves.items():
            if not rows or not all({"voi_split", "voi_merge", "voi_sum"} <= row.keys() for row in rows):
                raise KeyError(f"VOI in every row of {name}")
        kinds = made.get("curves") or dict.fromkeys(curves, "labels")
        return [
            Result(str(path), given, kind, sorted(curves[name], key=lambda row: row.get("threshold", 0.0)), made, config)
            for name, kind in kinds.items()
        ]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{path}: not what evaluate.py writes ({type(error).__name__}: {error}). Name its .json") from error
