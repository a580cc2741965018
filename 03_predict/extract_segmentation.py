"""The segmentation at one threshold, blockwise.

    python extract_segmentation.py CONFIG [--num-workers N] [--overwrite]
"""

from lsd_experiments.pipeline.command import main

if __name__ == "__main__":
    main("extract_segmentation", __doc__)
