"""The merge functions by name, as waterz's scoring functions.

``hist_quant_<Q>`` scores an edge by the Q-th percentile of the affinities between two regions, kept as a histogram of
256 bins; ``_initmax`` counts only the greatest affinity of each pair of fragments at first. ``mean`` takes the mean
affinity. waterz 0.10 ships all of these compiled, so that no compiler is needed.
"""

from lsd_experiments.errors import UserError, nearest

QUANTILES = (10, 25, 50, 75, 90)

MERGE_FUNCTIONS = {
    **{f"hist_quant_{quantile}{suffix}":
       f"OneMinus<HistogramQuantileAffinity<RegionGraphType, {quantile}, ScoreValue, 256, {initialize_with_max}>>"
       for suffix, initialize_with_max in (("", "false"), ("_initmax", "true")) for quantile in QUANTILES},
    "mean": "OneMinus<MeanAffinity<RegionGraphType, ScoreValue>>",
}


def scoring_function(merge_function: str) -> str:
    """waterz's C++ type for a merge function.

    :raises UserError: if there is none of this name.
    """
    if merge_function not in MERGE_FUNCTIONS:
        raise UserError(f"unknown merge function '{merge_function}'{nearest(merge_function, MERGE_FUNCTIONS)}; there "
                        f"are {', '.join(MERGE_FUNCTIONS)}")
    return MERGE_FUNCTIONS[merge_function]
