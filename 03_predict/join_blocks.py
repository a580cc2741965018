"""Which parts of neighbouring blocks are one component: a look-up table, with their numbers.

    python join_blocks.py CONFIG [--num-workers N] [--overwrite]
"""

from lsd_experiments.pipeline.command import main

if __name__ == "__main__":
    main("join_blocks", __doc__)
