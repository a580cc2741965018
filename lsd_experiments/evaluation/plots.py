"""The plot of scores: VOI split against VOI merge, one curve over the thresholds per name, the best marked."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lsd_experiments.evaluation.thresholds import best


def plot_scores(curves: Mapping[str, Sequence[Mapping[str, Any]]], path: str | Path) -> None:
    """Write the plot to ``path``, whose suffix is the format (png, svg, pdf)."""
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
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, title="best (lowest sum)", fontsize="small", title_fontsize="small")
    figure.savefig(path, metadata={"Software": None} if str(path).endswith("png") else None)


def _legend(name: str, row: Mapping[str, Any]) -> str:
    threshold = f" at {row['threshold']:g}" if "threshold" in row else ""
    return f"{name} {row['voi_split'] + row['voi_merge']:.3f}{threshold}".strip()
