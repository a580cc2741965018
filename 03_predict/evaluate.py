"""Scores of all thresholds against the ground truth: a table, JSON, CSV and a plot.

    python evaluate.py CONFIG [--num-workers N] [--overwrite]
"""

from lsd_experiments.pipeline.command import main

if __name__ == "__main__":
    main("evaluate", __doc__)
