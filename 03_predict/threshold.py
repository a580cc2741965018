"""Masks of classes: where the predicted probabilities are above a threshold.

    python threshold.py CONFIG [--num-workers N] [--overwrite]
"""

from lsd_experiments.pipeline.command import main

if __name__ == "__main__":
    main("threshold", __doc__)
