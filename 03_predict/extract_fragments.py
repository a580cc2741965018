"""Fragments from affinities, blockwise, and the nodes of the region graph.

    python extract_fragments.py CONFIG [--num-workers N] [--overwrite]
"""

from lsd_experiments.pipeline.command import main

if __name__ == "__main__":
    main("extract_fragments", __doc__)
