"""Fetching the challenge's data: which crops, of these which files, and of raw only the chunks around them."""

from lsd_experiments.families.cellmap.fetching.planning import plan_crops
from lsd_experiments.families.cellmap.fetching.wanted import Wanted, choose, read_sources

__all__ = ["Wanted", "choose", "plan_crops", "read_sources"]
