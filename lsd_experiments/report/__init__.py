"""One report of any set of experiments: a static page, Markdown and tables.

``results`` reads what configurations of 03_predict made, ``training`` what is beside a network; ``comparing`` says which
results may be compared, ``blocks`` counts them block by block and ``bootstrap`` asks how sure a difference is; ``places`` finds
the worst errors; ``curves`` and ``pictures`` draw, ``contents`` puts the report together, and ``page`` writes it.
"""

from lsd_experiments.report.comparing import Comparison, Variant, compare
from lsd_experiments.report.results import Result, read_results

__all__ = ["Comparison", "Result", "Variant", "compare", "read_results"]
