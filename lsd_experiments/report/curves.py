"""Plots: VOI split against VOI merge, scores over thresholds, and learning curves; each with the band of the seeds.

A line is the mean over seeds, its band reaches from the least to the greatest; with one seed there is no band.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments.report.comparing import Comparison, Variant

POINTS = 200  # of a line that is interpolated
SHOWN = 3  # times the best VOI sum: what is shown of each axis
ITERATIONS = 100  # parts of a learning curve; each shows the mean of its losses

Line = tuple[NDArray[np.float64], NDArray[np.float64]]


def plot_curves(comparison: Comparison, path: Path) -> None:
    """VOI split against merge on the left, the score that decides over thresholds on the right."""

    def both(left: Any, right: Any) -> None:
        for index, variant in enumerate(comparison.variants):
            colour = f"C{index % 10}"
            _band(left, [_of(result.rows, "voi_merge", "voi_split") for result in variant.results], colour, variant.name)
            for chosen in variant.chosen:
                left.plot(chosen.row["voi_merge"], chosen.row["voi_split"], "*", color=colour, markersize=9)
            _band(right, [_of(result.rows, "threshold", comparison.metric) for result in variant.results], colour, variant.name)
        sums = [row["voi_sum"] for variant in comparison.variants for row in (chosen.row for chosen in variant.chosen)]
        limit = SHOWN * max(sums, default=0.0) or 1.0
        _label(left, "VOI merge (bits)", "VOI split (bits)")
        left.set_xlim(0, min(limit, 1.05 * left.get_xlim()[1]))
        left.set_ylim(0, min(limit, 1.05 * left.get_ylim()[1]))
        left.legend(frameon=False, fontsize="small")
        _label(right, "threshold", comparison.metric)
        if comparison.metric == "voi_sum":
            right.set_ylim(0, limit)

    _figure(path, both)


def plot_learning(variants: Sequence[Variant], path: Path) -> bool:
    """The losses of the trainings, and of their validations; False, and no file, where nothing is known of either."""
    names = [name for name in ("loss", "validation loss", "validation voi_sum") if any(_learned(v, name) for v in variants)]
    if not names:
        return False

    def each(*panels: Any) -> None:
        for axes, name in zip(panels, names, strict=True):
            for index, variant in enumerate(variants):
                _band(axes, _learned(variant, name), f"C{index % 10}", variant.name)
            _label(axes, "iteration", name)
            if name != "validation voi_sum":
                axes.set_yscale("log")
        panels[0].legend(frameon=False, fontsize="small")

    _figure(path, each, len(names))
    return True


def _learned(variant: Variant, name: str) -> list[Line]:
    """The curves of a variant's trainings."""
    curves = [result.training.curves.get(name, []) for result in variant.results if result.training]
    return [_smooth(np.array(curve, float)) for curve in curves if curve]


def _smooth(curve: NDArray[np.float64]) -> Line:
    """The means of at most :data:`ITERATIONS` parts of a curve [n, 2]."""
    parts = np.array_split(curve, min(ITERATIONS, len(curve)))
    means = np.array([part.mean(axis=0) for part in parts])
    return means[:, 0], means[:, 1]


def _of(rows: Sequence[Any], x: str, y: str) -> Line:
    found = np.array([(row[x], row[y]) for row in rows if row.get(x) is not None and row.get(y) is not None], float).reshape(
        -1, 2
    )
    order = np.argsort(found[:, 0], kind="stable")
    return found[order, 0], found[order, 1]


def _band(axes: Any, lines: Sequence[Line], colour: str, name: str) -> None:
    """The mean of ``lines``, which need not have the same places, and their band where all are."""
    lines = [line for line in lines if len(line[0])]
    if not lines:
        return
    if len(lines) == 1:
        axes.plot(*lines[0], ".-" if len(lines[0][0]) <= 60 else "-", color=colour, linewidth=1, markersize=4, label=name)
        return
    x, values = on_one_axis(lines)
    axes.fill_between(x, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.25, linewidth=0)
    axes.plot(x, values.mean(axis=0), "-", color=colour, linewidth=1.5, label=f"{name} ({len(lines)} seeds)")


def on_one_axis(lines: Sequence[Line]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """[k] places that all ``lines`` reach, and [lines, k] their values there."""
    same = all(np.array_equal(line[0], lines[0][0]) for line in lines)
    begin, end = max(line[0][0] for line in lines), min(line[0][-1] for line in lines)
    x = lines[0][0] if same else np.linspace(begin, max(begin, end), POINTS)
    return x, np.stack([np.interp(x, *line) for line in lines])


def _label(axes: Any, x: str, y: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)


def _figure(path: Path, fill: Callable[..., None], panels: int = 2) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5 * panels, 4), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    fill(*figure.subplots(1, panels, squeeze=False)[0])
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})
