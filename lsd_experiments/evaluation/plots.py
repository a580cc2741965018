"""The plot of scores: VOI split against VOI merge, one curve over the thresholds per name, the best marked.

Where another score than VOI decides, a second panel shows it over the thresholds.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from lsd_experiments.evaluation.deciding import DIRECTIONS, deciding_metric
from lsd_experiments.evaluation.thresholds import best

SHOWN = 3  # times the VOI sum of the best: what the plot shows of each axis

Curves: TypeAlias = Mapping[str, Sequence[Mapping[str, Any]]]


def plot_scores(curves: Curves, path: str | Path, metric: str | None = None) -> None:
    """Write the plot to ``path``, whose suffix is the format (png, svg, pdf).

    It shows the surroundings of the best: far ends of the curves, all in pieces or all in one, lie outside.

    :param metric: the score that decides which is the best, see :func:`best`
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    others = {name: rows for name, rows in curves.items()
              if deciding_metric(rows, metric) != "voi_sum" and all("threshold" in row for row in rows)}
    figure = Figure(figsize=(10 if others else 5, 4.5), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 2 if others else 1, squeeze=False)[0]
    _plot_voi(panels[0], curves, metric)
    if others:
        _plot_over_thresholds(panels[1], others, metric)
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Software": None} if str(path).endswith("png") else None)


def plot_thresholds(rows: Sequence[Mapping[str, Any]], panels: Mapping[str, Sequence[str]], chosen: int,
                    path: str | Path) -> None:
    """Write the plot of scores over the thresholds of ``rows`` to ``path``: panels by the name of their axis, a line for each
    score; a dotted one is at the row ``chosen``. Where a row has no score, there is a gap."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5 * len(panels), 4), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    marked, rows = rows[chosen]["threshold"], sorted(rows, key=lambda row: float(row["threshold"]))
    thresholds = [row["threshold"] for row in rows]
    for axes, (name, scores) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        for score in scores:
            values = [float("nan") if row[score] is None else row[score] for row in rows]
            axes.plot(thresholds, values, ".-", linewidth=1, markersize=4, label=score)
        axes.axvline(marked, color="grey", linestyle=":", linewidth=1)
        axes.set_xlabel("threshold")
        axes.set_ylabel(name)
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False, fontsize="small")
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Software": None} if str(path).endswith("png") else None)


def _plot_voi(axes: Any, curves: Curves, metric: str | None) -> None:
    for name, rows in curves.items():
        chosen = rows[best(rows, metric)]
        merges, splits = [row["voi_merge"] for row in rows], [row["voi_split"] for row in rows]
        line, = axes.plot(merges, splits, ".-", linewidth=1, markersize=4)
        axes.plot(chosen["voi_merge"], chosen["voi_split"], "*", markersize=13, color=line.get_color(),
                  label=_legend(name, chosen, deciding_metric(rows, metric)))
    axes.set_xlabel("VOI merge (bits)")
    axes.set_ylabel("VOI split (bits)")
    axes.set_xlim(0, _limit(curves, "voi_merge", metric))
    axes.set_ylim(0, _limit(curves, "voi_split", metric))
    axes.legend(frameon=False, title=_title(curves, metric), fontsize="small", title_fontsize="small")


def _plot_over_thresholds(axes: Any, curves: Curves, metric: str | None) -> None:
    for name, rows in curves.items():
        deciding, chosen = deciding_metric(rows, metric), rows[best(rows, metric)]
        line, = axes.plot([row["threshold"] for row in rows], [row[deciding] for row in rows], ".-", linewidth=1, markersize=4)
        axes.plot(chosen["threshold"], chosen[deciding], "*", markersize=13, color=line.get_color(),
                  label=_legend(name, chosen, deciding))
    axes.set_xlabel("threshold")
    axes.set_ylabel(", ".join(dict.fromkeys(deciding_metric(rows, metric) for rows in curves.values())))


def _title(curves: Curves, metric: str | None) -> str:
    decided = dict.fromkeys(deciding_metric(rows, metric) for rows in curves.values())
    return ", ".join("best (lowest sum)" if name == "voi_sum" else f"best ({DIRECTIONS[name]} {name})" for name in decided)


def _limit(curves: Curves, key: str, metric: str | None) -> float:
    """The end of an axis: :data:`SHOWN` times the largest VOI sum of the best, or less where no curve goes so far."""
    chosen = [rows[best(rows, metric)] for rows in curves.values()]
    sums = [float(row["voi_split"] + row["voi_merge"]) for row in chosen]
    farthest = max(float(row[key]) for rows in curves.values() for row in rows)
    return 1.05 * (min(farthest, SHOWN * max(sums)) or farthest or 1)


def _legend(name: str, row: Mapping[str, Any], metric: str) -> str:
    threshold = f" at {row['threshold']:g}" if "threshold" in row else ""
    value = row["voi_split"] + row["voi_merge"] if metric == "voi_sum" else row[metric]
    return f"{name} {value:.3f}{threshold}".strip()
