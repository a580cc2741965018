"""How descriptors correlate with the truth's: of trainings that validated, and of predictions that evaluate_lsds.py looked at."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lsd_experiments.descriptors.agreement import CHANNELS, LEARNED, learned
from lsd_experiments.errors import UserError
from lsd_experiments.evaluation.descriptors import DESCRIPTORS
from lsd_experiments.prediction.loading import TrainedNetwork
from lsd_experiments.report.comparing import Variant, seed_of
from lsd_experiments.report.page import NONE, Document, Heading, Paragraph, Table, number
from lsd_experiments.report.results import named, not_evaluated
from lsd_experiments.training.curve import ITERATION, read_curve

CORRELATION, ERROR, OF_CONSTANT = "correlation_", "error", "error_of_constant"


@dataclass(frozen=True)
class Descriptors:
    """``correlations`` and errors by channel, as far as they are known, of one network on one volume."""

    network: str
    seed: int | None
    iteration: int | None
    where: str
    correlations: Mapping[str, float | None]
    error: float
    of_constant: float


def read_descriptors(places: Sequence[str]) -> tuple[list[Descriptors], list[str]]:
    """What evaluate_lsds.py wrote: files among ``places``, and in directories among them; and the places that hold other results.

    :param places: paths, each perhaps as ``NAME=PATH``: the network's name, instead of its directory's
    :raises UserError: if such a file is damaged
    """
    found: dict[Path, Descriptors] = {}
    others = []
    for place in places:
        given, path = named(place)
        files = _inside(path) if path.is_dir() else [path] if path.suffix == ".json" else []
        here = [file for file in files if _holds_descriptors(file)]
        found |= {file.resolve(): _read(file, given) for file in here}
        if not here or (path.is_dir() and not not_evaluated([place])):
            others.append(place)
    return list(found.values()), others


def of_trainings(variants: Sequence[Variant]) -> list[Descriptors]:
    """The newest validation of each training until the checkpoint that predicted, and of the frozen network before it."""
    found: dict[tuple[str, int | None], Descriptors] = {}
    for variant in variants:
        for result in variant.results:
            training = result.training
            if training is None:
                continue
            networks = [(variant.name, seed_of(result), training.directory, result.iteration)]
            if isinstance(training.first, TrainedNetwork):
                first = training.first
                networks.append((first.variant, first.checkpoint.record.get("seed"), first.setup, first.checkpoint.iteration))
            for name, seed, directory, iteration in networks:
                one = _validated(name, seed, directory, iteration)
                if one is not None:
                    found[str(directory.resolve()), iteration] = one
    return list(found.values())


def write_descriptors(document: Document, found: Sequence[Descriptors]) -> None:
    """A table; nothing, if there is none."""
    if not found:
        return
    document.add(Heading(2, "Descriptors"), Paragraph(
        "Pearson's correlation of each channel with the descriptors of the truth, inside of objects, and the mean squared error "
        f"of all beside that of a constant. What is above {LEARNED:g} was learned. A dash: one of both does not vary."))
    names = [name.replace("_", " ") for name in CHANNELS]
    header = ["network", "seed", "iterations", "where", *names, f"above {LEARNED:g}", "squared error", "of a constant"]
    document.add(Table("descriptors", header, [_row(one) for one in found]))


def _row(one: Descriptors) -> list[str]:
    values = [one.correlations.get(name) for name in CHANNELS]
    said = [NONE if value is None else str(value) for value in (one.seed, one.iteration)]
    shown = (NONE if value is None else number(value, 2) for value in values)
    return [one.network, *said, one.where, *shown, str(learned(values)), number(one.error, 4), number(one.of_constant, 4)]


def _validated(name: str, seed: int | None, directory: Path, iteration: int | None) -> Descriptors | None:
    rows = [row for row in read_curve(directory) if iteration is None or row[ITERATION] <= iteration]
    if not rows:
        return None
    heads = [key.removesuffix(OF_CONSTANT) for key in rows[-1] if key.endswith(OF_CONSTANT)]
    if not heads:
        return None
    row, head = rows[-1], heads[0]
    correlations = {channel: row.get(f"{head}{CORRELATION}{channel}") for channel in CHANNELS}
    return Descriptors(name, seed, int(row[ITERATION]), "validation in training", correlations, row[head + ERROR],
                       row[head + OF_CONSTANT])


def _read(path: Path, given: str | None) -> Descriptors:
    try:
        summary = json.loads(path.read_text())
        rows, inputs = summary[DESCRIPTORS], summary["provenance"]["inputs"]
        correlations = {row["channel"]: row["correlation"] for row in rows}
        errors = [sum(row[key] for row in rows) / len(rows) for key in (ERROR, OF_CONSTANT)]
        name = given or str(inputs.get("variant") or path.stem) + (", averaged" if inputs.get("averaged_weights") else "")
        return Descriptors(name, None, inputs.get("iteration"), str(inputs["labels"]), correlations, *errors)
    except (OSError, ValueError, TypeError, KeyError, ZeroDivisionError) as error:
        raise UserError(f"{path}: not what evaluate_lsds.py writes ({type(error).__name__}: {error}). Make it anew") from error


def _holds_descriptors(path: Path) -> bool:
    try:
        summary: Any = json.loads(path.read_text())
    except (OSError, ValueError):
        return False
    return isinstance(summary, dict) and DESCRIPTORS in summary


def _inside(directory: Path) -> Iterator[Path]:
    """The JSON files in a directory, but not in its containers."""
    for where, directories, files in os.walk(directory):
        directories[:] = sorted(name for name in directories if not name.startswith(".") and not name.endswith((".zarr", ".n5")))
        yield from (Path(where) / name for name in sorted(files) if name.endswith(".json"))
