"""Look-up tables from fragments to segments for all thresholds.

    python find_segments.py CONFIG [--num-workers N] [--overwrite]
"""

from lsd_experiments.pipeline.command import main

if __name__ == "__main__":
    main("find_segments", __doc__)
