"""The edges of the region graph with their merge scores, blockwise.

    python agglomerate.py CONFIG [--num-workers N] [--overwrite]
"""

from lsd_experiments.pipeline.command import main

if __name__ == "__main__":
    main("agglomerate", __doc__)
