"""Scores for people and programs: a short table, JSON, CSV and a plot.

Rows are those of ``thresholds``; several curves (variants, merge functions) are a mapping from their names to rows.
"""

import csv
import glob
import io
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from lsd_experiments.errors import UserError
from lsd_experiments.evaluation.deciding import deciding_metric
from lsd_experiments.evaluation.plots import plot_scores
from lsd_experiments.evaluation.thresholds import best
from lsd_experiments.writing import check_writable

Rows: TypeAlias = Sequence[Mapping[str, Any]]
Curves: TypeAlias = Mapping[str, Rows]

SUFFIXES = (".json", ".csv", ".png")
COLUMNS = {"threshold": "threshold", "voi_split": "VOI split", "voi_merge": "VOI merge", "voi_sum": "VOI sum",
           "adapted_rand_error": "adapted Rand error", "erl": "ERL (nm)", "normalized_erl": "normalized ERL",
           "splits": "splits", "merges": "merges", "xpress_erl_rand": "ERL+Rand"}
COUNTS = ("splits", "merges", "segments", "labels")  # whole numbers


def table(scores: Rows | Curves, limit: int = 12, metric: str | None = None) -> str:
    """A table of at most ``limit`` rows per curve, evenly spaced, the best among them and marked.

    :param metric: the score that decides which is the best, see :func:`best`
    """
    curves = as_curves(scores)
    names = len(curves) > 1 or "" not in curves
    columns = {**COLUMNS, **({metric: metric} if metric is not None and metric not in COLUMNS else {})}
    keys = [key for key in columns if any(key in row for rows in curves.values() for row in rows)]
    width = max((len(name) for name in curves), default=0) + 2 if names else 0
    lines = ["".ljust(width) + "  ".join(f"{columns[key]:>9}" for key in keys)]
    for name, rows in curves.items():
        chosen = best(rows, metric)
        for index in _spaced(len(rows), chosen, limit):
            cells = "  ".join(_cell(key, rows[index].get(key)).rjust(max(9, len(columns[key]))) for key in keys)
            lines.append(name.ljust(width) + cells + ("  <- best" if index == chosen and len(rows) > 1 else ""))
    return "\n".join(lines)


def check_prefix(prefix: str | Path) -> None:
    """Refuse a prefix that :func:`write_scores` could not write to; leaves nothing behind.

    :raises UserError: if it is a URL or names no file, or its directory cannot be made or written
    """
    path = Path(prefix)
    if "://" in str(prefix) or not path.name:
        raise UserError(f"{prefix}: scores are written to files of this machine. Name the first part of their names")
    try:
        check_writable(path.absolute().parent)
    except OSError as error:
        raise UserError(f"{prefix}: cannot be written ({error.filename}: {os.strerror(error.errno or 0).lower()}). Name a "
                        "place that can be") from error
    for suffix in SUFFIXES:
        if path.with_name(path.name + suffix).is_dir():
            raise UserError(f"{path}{suffix}: is a directory. Name another place for the scores")


def write_scores(scores: Rows | Curves, prefix: str | Path, provenance: Mapping[str, Any] | None = None,
                 metric: str | None = None) -> list[Path]:
    """Write ``prefix``.json (curves, the best of each, provenance), .csv and .png; return their paths.

    Each file appears when it is whole.

    :param metric: the score that decides which is the best, see :func:`best`

    :raises UserError: if there are no scores
    """
    curves = as_curves(scores)
    summary = {
        "curves": {name: [dict(row) for row in rows] for name, rows in curves.items()},
        "best": {name: dict(rows[best(rows, metric)]) for name, rows in curves.items()},
        "best_by": {name: deciding_metric(rows, metric) for name, rows in curves.items()},
        "provenance": dict(provenance or {}),
    }
    text = json.dumps(summary, indent=1, default=float) + "\n"
    writers: tuple[Callable[[Path], object], ...] = (
        lambda path: path.write_text(text),
        lambda path: path.write_text(_csv(curves)),
        lambda path: plot_scores(curves, path, metric),
    )
    prefix = Path(prefix)
    prefix.parent.mkdir(parents=True, exist_ok=True)
    return [_replace(prefix.with_name(prefix.name + suffix), write) for suffix, write in zip(SUFFIXES, writers, strict=True)]


def write_rows(rows: Mapping[str, Mapping[str, Any]], prefix: Path, provenance: Mapping[str, Any]) -> None:
    """Write ``rows``, scores by name, to ``prefix``.csv and, with what made them, ``prefix``.json, each when it is whole."""
    prefix.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"scores": rows, "provenance": provenance}, indent=1, default=float) + "\n"
    columns = list(dict.fromkeys(key for row in rows.values() for key in row))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, ["name", *columns], lineterminator="\n")
    writer.writeheader()
    writer.writerows({"name": name, **row} for name, row in rows.items())
    _replace(prefix.with_name(f"{prefix.name}.json"), lambda path: path.write_text(text))
    _replace(prefix.with_name(f"{prefix.name}.csv"), lambda path: path.write_text(stream.getvalue()))


def write_plot(prefix: Path, write: Callable[[Path], object]) -> None:
    """What ``write`` writes to a path, as ``prefix``.png, when it is whole."""
    _replace(prefix.with_name(f"{prefix.name}.png"), write)


def rows_table(rows: Mapping[str, Mapping[str, Any]], scores: Sequence[str]) -> str:
    """A table of ``scores`` with a line for each of ``rows``; ``-`` where one has none."""
    width = max(map(len, rows)) + 2
    lines = ["".ljust(width) + "  ".join(f"{COLUMNS.get(score, score):>9}" for score in scores)]
    lines += [name.ljust(width) + "  ".join(_cell(score, row.get(score)).rjust(max(9, len(COLUMNS.get(score, score))))
                                            for score in scores) for name, row in rows.items()]
    return "\n".join(lines)


def as_curves(scores: Rows | Curves) -> Curves:
    """``scores`` by name; those of a single, nameless curve under the empty name.

    :raises UserError: if there are none
    """
    curves = scores if isinstance(scores, Mapping) else {"": scores}
    if not curves or not all(len(rows) for rows in curves.values()):
        raise UserError("there are no scores to report. Give at least one threshold")
    return curves


def _replace(path: Path, write: Callable[[Path], object]) -> Path:
    for left in path.parent.glob(f".{glob.escape(path.stem)}.partial-*{path.suffix}"):  # of a process that was killed
        left.unlink(missing_ok=True)
    partial = path.with_name(f".{path.stem}.partial-{os.getpid()}{path.suffix}")
    try:
        write(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def _csv(curves: Curves) -> str:
    rows = [{"curve": name, **row} for name, rows in curves.items() for row in rows]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    if list(curves) == [""]:
        columns.remove("curve")
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def _spaced(count: int, chosen: int, limit: int) -> list[int]:
    """At most ``limit`` indices, evenly spaced, ``chosen`` in place of its nearest."""
    if count <= limit:
        return list(range(count))
    indices = [round(i * (count - 1) / (limit - 1)) for i in range(limit)]
    nearest = min(range(limit), key=lambda i: abs(indices[i] - chosen))
    return sorted({*indices[:nearest], chosen, *indices[nearest + 1:]})


def _cell(key: str, value: Any) -> str:
    return "-" if value is None else f"{value:.{0 if key in COUNTS else 3}f}"
