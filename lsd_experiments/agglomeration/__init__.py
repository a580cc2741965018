"""Agglomeration: how readily neighbouring fragments unite, as a merge score of each edge of the region graph (RAG).

A merge score is in [0, 1]: 1 minus an affinity. Two fragments are one at all thresholds from their merge score on; NaN
says that they never unite. Fragments and affinities are as in :mod:`lsd_experiments.fragments`.
"""

from lsd_experiments.agglomeration.agglomerating import agglomerate
from lsd_experiments.agglomeration.contacts import find_contacts
from lsd_experiments.agglomeration.functions import MERGE_FUNCTIONS, scoring_function
from lsd_experiments.agglomeration.scores import merge_scores

__all__ = ["MERGE_FUNCTIONS", "agglomerate", "find_contacts", "merge_scores", "scoring_function"]
