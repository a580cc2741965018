"""The entries, best first: chosen, as text and as CSV."""

import csv
import io
from collections.abc import Sequence
from typing import Any

from lsd_experiments.errors import UserError, nearest
from lsd_experiments.evaluation.deciding import DIRECTIONS, Direction, check_metric, deciding_metric, rank
from lsd_experiments.scores.entries import Entry

# XPRESS's table, in its order; those of labels follow
FIRST = ("setup", "iteration", "threshold", "erl_norm", "xpress_voi", "xpress_rand", "xpress_erl_voi", "xpress_erl_rand")
BY: dict[str, Direction] = {**DIRECTIONS, "erl_norm": "highest"}
SHOWN = ("erl_norm", "xpress_voi", "xpress_rand", "xpress_erl_voi", "xpress_erl_rand", "voi_split", "voi_merge", "voi_sum")


def of_one_truth(entries: Sequence[Entry], truth: str | None) -> list[Entry]:
    """Those against ``truth``, or all, if there is one only.

    :raises UserError: if there is none, or which one is not said
    """
    truths = sorted({entry.truth for entry in entries})
    if truth is None and len(truths) > 1:
        raise UserError(f"there are scores against {len(truths)} ground truths, which cannot be compared. Name one with --truth: "
                        + "; ".join(f"'{name}'" for name in truths))
    if truth is not None and truth not in truths:
        raise UserError(f"no scores against '{truth}'{nearest(truth, truths)}; there are some against "
                        + ("; ".join(f"'{name}'" for name in truths) or "nothing"))
    return [entry for entry in entries if truth in (None, entry.truth)]


def best_first(entries: Sequence[Entry], metric: str | None = None, top: int | None = None,
               one_per_checkpoint: bool = False) -> tuple[str, list[Entry]]:
    """The score that decides, and the entries that have it, best first.

    :param metric: the score (default: XPRESS's ERL+Rand if all have it, else the VOI sum)
    :param top: so many at most
    :param one_per_checkpoint: of each network's checkpoints, the best only
    :raises UserError: if nothing has such a score
    """
    if metric is not None:
        check_metric(metric, BY)
    if not entries:
        return metric or "", []
    metric = metric or deciding_metric([entry.scores for entry in entries])
    ranked = sorted((entry for entry in entries if metric in entry.scores), key=lambda entry: rank(entry.scores, metric, BY))
    if not ranked:
        known = [name for name in BY if name in entries[0].scores]
        raise UserError(f"these scores have no '{metric}': they are against "
                        f"{'skeletons' if 'erl' in known else 'labels'}; there are {', '.join(known)}")
    if one_per_checkpoint:
        firsts: dict[tuple[str, int], Entry] = {}
        for entry in ranked:
            firsts.setdefault((entry.network, entry.checkpoint), entry)
        ranked = list(firsts.values())
    return metric, ranked[:top]


def as_text(entries: Sequence[Entry], metric: str) -> str:
    """A table of ``entries``, ``metric`` among its columns."""
    names = [*SHOWN, *([metric] if metric not in SHOWN else [])]
    names = [name for name in names if any(name in entry.scores for entry in entries)]
    rows = [["setup", "iteration", "merge function", "threshold", *names]]
    for entry in entries:
        rows.append([entry.network, str(entry.checkpoint), entry.merge_function, f"{entry.threshold:g}",
                     *(_cell(entry.scores.get(name)) for name in names)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)


def as_csv(entries: Sequence[Entry]) -> str:
    """All columns, those of XPRESS's table first; scores that no entry has are left out."""
    rows = [{"setup": entry.network, "iteration": entry.checkpoint, "threshold": entry.threshold, **entry.scores,
             "merge_function": entry.merge_function, "truth": entry.truth} for entry in entries]
    found = dict.fromkeys(key for row in rows for key in row) or dict.fromkeys(FIRST)
    first = [key for key in FIRST if key in found]
    columns = [*first, *(key for key in ("merge_function", "truth") if key in found)]
    stream = io.StringIO()
    writer = csv.DictWriter(stream, [*columns, *(key for key in found if key not in columns)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def _cell(value: Any) -> str:
    return "-" if value is None else f"{value:.5g}"
