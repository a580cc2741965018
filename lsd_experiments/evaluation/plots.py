"""The plot of scores: VOI split against VOI merge, one curve over the thresholds per name, the best marked."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lsd_experiments.evaluation.thresholds import best

SHOWN = 3  # times the VOI sum of the best: what the plot shows of each axis


def plot_scores(curves: Mapping[str, Sequence[Mapping[str, Any]]], path: str | Path) -> None:
    """Write the plot to ``path``, whose suffix is the format (png, svg, pdf).

    It shows the surroundings of the best: far ends of the curves, all in pieces or all in one, lie outside.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 4.5), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for name, rows in curves.items():
        chosen = rows[best(rows)]
        merges, splits = [row["voi_merge"] for row in rows], [row["voi_split"] for row in rows]
        line, = axes.plot(merges, splits, ".-", linewidth=1, markersize=4)
        axes.plot(chosen["voi_merge"], chosen["voi_split"], "*", markersize=13, color=line.get_color(),
                  label=_legend(name, chosen))
    axes.set_xlabel("VOI merge (bits)")
    axes.set_ylabel("VOI split (bits)")
    axes.set_xlim(0, _limit(curves, "voi_merge"))
    axes.set_ylim(0, _limit(curves, "voi_split"))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, title="best (lowest sum)", fontsize="small", title_fontsize="small")
    figure.savefig(path, metadata={"Software": None} if str(path).endswith("png") else None)


def _limit(curves: Mapping[str, Sequence[Mapping[str, Any]]], key: str) -> float:
    """The end of an axis: :data:`SHOWN` times the largest VOI sum of the best, or less where no curve goes so far."""
    sums = [float(rows[best(rows)]["voi_sum"]) for rows in curves.values()]
    farthest = max(float(row[key]) for rows in curves.values() for row in rows)
    return 1.05 * (min(farthest, SHOWN * max(sums)) or farthest or 1)


def _legend(name: str, row: Mapping[str, Any]) -> str:
    threshold = f" at {row['threshold']:g}" if "threshold" in row else ""
    return f"{name} {row['voi_split'] + row['voi_merge']:.3f}{threshold}".strip()
