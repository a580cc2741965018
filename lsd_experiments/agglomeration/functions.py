"""The merge functions by name.

Those of waterz score an edge while regions grow. ``hist_quant_<Q>`` scores it by the Q-th percentile of the affinities
between two regions, kept as a histogram of 256 bins; ``_initmax`` counts only the greatest affinity of each pair of
fragments at first. ``mean`` takes the mean affinity. waterz 0.10 ships all of these compiled, so that no compiler is needed.
``mean_max_<K>`` takes the mean of the K greatest affinities, which waterz would have to compile: here it needs no compiler.

``contact_mean`` takes the mean affinity over all faces between two fragments, whatever else unites. It adds up over
blocks, so that an edge scores as if computed at once wherever blocks lie, and fragments may cross them.
"""

import re

from lsd_experiments.errors import UserError, nearest

QUANTILES = tuple(range(10, 100, 5))
MEAN_MAX = re.compile(r"mean_max_([1-9]\d{0,3})")

# waterz's C++ types
SCORING_FUNCTIONS = {
    **{f"hist_quant_{quantile}{suffix}":
       f"OneMinus<HistogramQuantileAffinity<RegionGraphType, {quantile}, ScoreValue, 256, {initialize_with_max}>>"
       for suffix, initialize_with_max in (("", "false"), ("_initmax", "true")) for quantile in QUANTILES},
    "mean": "OneMinus<MeanAffinity<RegionGraphType, ScoreValue>>",
}

CONTACT_MEAN = "contact_mean"

MERGE_FUNCTIONS = (*SCORING_FUNCTIONS, CONTACT_MEAN)


def greatest_of(merge_function: str) -> int | None:
    """How many of the greatest affinities ``mean_max_<K>`` takes the mean of; None of other merge functions."""
    found = MEAN_MAX.fullmatch(merge_function)
    return int(found[1]) if found else None


def check_merge_function(merge_function: str) -> None:
    """:raises UserError: if there is none of this name."""
    if merge_function not in MERGE_FUNCTIONS and not MEAN_MAX.fullmatch(merge_function):
        raise UserError(f"unknown merge function '{merge_function}'{nearest(merge_function, MERGE_FUNCTIONS)}; there are "
                        f"hist_quant_<Q> and hist_quant_<Q>_initmax (Q: {', '.join(map(str, QUANTILES))}), mean, "
                        f"{CONTACT_MEAN} and mean_max_<K>")


def scoring_function(merge_function: str) -> str:
    """waterz's C++ type for a merge function of waterz.

    :raises UserError: if there is no merge function of this name.
    """
    check_merge_function(merge_function)
    assert merge_function in SCORING_FUNCTIONS, f"{merge_function} is not computed by waterz"
    return SCORING_FUNCTIONS[merge_function]
