"""A table of scores over networks, checkpoints, merge functions and thresholds, in one SQLite file: which is the best?"""

from lsd_experiments.scores.database import ScoresDatabase
from lsd_experiments.scores.entries import Entry, read_entries

__all__ = ["Entry", "ScoresDatabase", "read_entries"]
