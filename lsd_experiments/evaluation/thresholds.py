"""Scores over agglomeration thresholds.

A row is one segmentation's scores, with its ``threshold`` where there is one.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from numpy.typing import ArrayLike

from lsd_experiments.evaluation.counting import Contingency
from lsd_experiments.evaluation.deciding import deciding_metric, rank
from lsd_experiments.evaluation.metrics import scores

Row = dict[str, Any]


def evaluate_thresholds(fragments: Contingency, luts: Iterable[tuple[float, ArrayLike]]) -> list[Row]:
    """The scores of each agglomeration of fragments, in order of the thresholds.

    :param fragments: table of the fragments and the ground truth
    :param luts: threshold and look-up table, [2, n] fragments and their segments; fragments not in it become 0
    """
    rows = [{"threshold": float(threshold), **scores(fragments.relabel(lut))} for threshold, lut in luts]
    return sorted(rows, key=lambda row: row["threshold"])


def best(rows: Sequence[Mapping[str, Any]], metric: str | None = None) -> int:
    """The index of the best row; the first of equal ones.

    :param metric: the score that decides (default: XPRESS's ERL+Rand of rows that have it, else the VOI sum)
    """
    deciding = deciding_metric(rows, metric)
    return min(range(len(rows)), key=lambda i: rank(rows[i], deciding))
