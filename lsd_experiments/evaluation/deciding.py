"""Which score decides between segmentations, and whether its lowest or its highest value is the best.

Labels and skeletons share the names of some scores: of voxels there, of nodes here.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

from lsd_experiments.errors import UserError, nearest

Direction: TypeAlias = Literal["lowest", "highest"]

SHARED: dict[str, Direction] = {
    "voi_sum": "lowest", "voi_split": "lowest", "voi_merge": "lowest",
    "nvi_sum": "lowest", "nvi_split": "lowest", "nvi_merge": "lowest",
    "rand_split": "highest", "rand_merge": "highest",
}
OF_LABELS: dict[str, Direction] = {**SHARED, "adapted_rand_error": "lowest"}
OF_SKELETONS: dict[str, Direction] = {
    "xpress_erl_rand": "highest", "xpress_erl_voi": "highest", "xpress_rand": "highest", "xpress_voi": "highest",
    "xpress_normalized_erl": "highest", "normalized_erl": "highest", "erl": "highest",
    "splits": "lowest", "merges": "lowest", **SHARED,
}
DIRECTIONS = {**OF_LABELS, **OF_SKELETONS}
DEFAULTS = ("xpress_erl_rand", "voi_sum")  # the first that there is decides, if nobody says which


def check_metric(metric: str, known: Mapping[str, Direction] = DIRECTIONS) -> None:
    """:raises UserError: if no score of this name is in ``known``, those that can decide."""
    if metric not in known:
        raise UserError(f"no score '{metric}' to choose by{nearest(metric, known)}; there are {', '.join(known)}")


def deciding_metric(rows: Sequence[Mapping[str, Any]], metric: str | None = None) -> str:
    """The score that decides between ``rows``: ``metric`` if they have it, else the first of :data:`DEFAULTS` that they have."""
    found = next((name for name in (metric, *DEFAULTS) if name is not None and all(name in row for row in rows)), None)
    assert found is not None, f"rows without any of {', '.join(DEFAULTS)}"
    return found


def rank(row: Mapping[str, Any], metric: str, directions: Mapping[str, Direction] = DIRECTIONS) -> float:
    """A number that is the lower, the better ``row`` is; what is not a number is worse than all."""
    value = math.nan if row[metric] is None else float(row[metric])
    if math.isnan(value):
        return math.inf
    return -value if directions[metric] == "highest" else value
